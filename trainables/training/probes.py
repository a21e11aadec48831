"""Measurements on a trained model that are not its score: how much of the score is a look into the future."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.architectures.base import LanguageModel
from trainables.tasks.base import Batch


def _loss_at(logits_BV: Tensor, targets_B: Tensor) -> float:
    return float(functional.cross_entropy(logits_BV.double(), targets_B, ignore_index=-100))


@torch.no_grad()
def leak_probe(model: LanguageModel, batch: Batch, *, num_positions: int = 8) -> dict[str, float]:
    """Measure what the model's view of later tokens is worth.

    At the middles of `num_positions` equal stretches of the window the loss of the next token is measured
    twice: with the whole window as input, and with the input cut after that position, as in generation. A
    causal model scores the same both times. For a model that has only seen whole windows the cut is also
    unfamiliar, so the difference holds both: what it read from later tokens, and what it loses without them.

    Returns:
        `probe/loss_future_visible`, `probe/loss_future_withheld` and their difference `probe/leak`, in nats
        a token; a positive leak is a part of the score that generation cannot have.
    """
    length = batch.inputs_BT.shape[1]
    count = min(num_positions, length)
    positions = [(2 * k + 1) * length // (2 * count) for k in range(count)]
    full_BTV = model(batch.inputs_BT).logits_BTV
    visible, withheld = [], []
    for t in positions:
        targets_B = batch.targets_BT[:, t]
        visible.append(_loss_at(full_BTV[:, t], targets_B))
        withheld.append(_loss_at(model(batch.inputs_BT[:, : t + 1]).logits_BTV[:, -1], targets_B))
    seen, hidden = sum(visible) / len(visible), sum(withheld) / len(withheld)
    return {
        "probe/loss_future_visible": seen,
        "probe/loss_future_withheld": hidden,
        "probe/leak": hidden - seen,
    }
