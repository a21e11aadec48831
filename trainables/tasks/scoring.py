"""What every task's evaluation shares: which sequences, on what terms, and from nats to perplexity."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.tasks.base import Split

IGNORED = -100
"""Target of a position that is not scored."""

_MAX_NATS = 709.0
"""Above it, exp exceeds every float."""


def check_request(
    model: nn.Module,
    split: Split,
    splits: tuple[Split, ...],
    *,
    max_sequences: int | None,
    batch_size: int,
    cure: str,
) -> None:
    """Refuse an evaluation that would not mean what it says.

    Args:
        model: What is scored.
        split: Which part of the data is asked for.
        splits: The parts that exist.
        max_sequences: Sequences to score; None: all.
        batch_size: Sequences in one forward pass.
        cure: How to get the split that is missing.

    Raises:
        ValueError: If the model is in training mode, the split does not exist, or a size is below 1.
    """
    if model.training:
        raise ValueError("evaluate needs a model in evaluation mode; call model.eval() first")
    if split not in splits:
        raise ValueError(f"there is no {split} split; {cure}")
    if batch_size < 1 or (max_sequences is not None and max_sequences < 1):
        raise ValueError(f"need batch_size and max_sequences >= 1: {batch_size}, {max_sequences}")


def evenly_spaced(total: int, most: int | None) -> Tensor:
    """Return the indices of up to `most` of `total` sequences, evenly spaced; None: of all."""
    if most is None or most >= total:
        return torch.arange(total)
    return torch.arange(most) * total // most


def mean_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats over the targets that are scored."""
    return nn.functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED)


def perplexity(nats_per_token: float) -> float:
    """Return exp of `nats_per_token`: infinite where no float holds it, NaN where it is NaN."""
    return math.exp(nats_per_token) if nats_per_token < _MAX_NATS else nats_per_token * math.inf
