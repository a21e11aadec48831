"""Where the answer (the scored targets) is in a sequence, for the contrastive loss and the calibration."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.batch import IGNORED


def answer_start(targets_BT: Tensor) -> Tensor:
    """Return the position of each sequence's first scored target, index_B."""
    return (targets_BT != IGNORED).long().argmax(1)


def at_answer(read_BSD: Tensor, targets_BT: Tensor) -> Tensor:
    """Return what is read at the position where each sequence's answer begins, read_BD.

    Args:
        read_BSD: At every position, or (S = 1) at the last.
        targets_BT: -100 at positions that are not scored.
    """
    if read_BSD.shape[1] == 1:
        return read_BSD[:, 0]
    return read_BSD[torch.arange(len(read_BSD), device=read_BSD.device), answer_start(targets_BT)]


def mean_row(rows_VD: Tensor, targets_BT: Tensor) -> Tensor:
    """Return the mean of the head rows of each sequence's scored targets, row_BD."""
    scored_BT1 = (targets_BT != IGNORED).unsqueeze(-1)
    rows_BTD = rows_VD[targets_BT.clamp(min=0)] * scored_BT1
    return rows_BTD.sum(1) / scored_BT1.sum(1)


def check_answers(targets_BT: Tensor) -> None:
    """Refuse a batch in which a sequence has no scored target.

    Raises:
        ValueError: If there is one: it has no answer for the contrastive loss or the calibration.
    """
    if not (targets_BT != IGNORED).any(1).all():
        raise ValueError("readout: a sequence of this task has no scored target, so no answer to learn to read")
