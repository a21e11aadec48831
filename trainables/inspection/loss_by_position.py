"""The loss of a model at each position of its sequences: does it drift, does it oscillate?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.architectures.base.model import LanguageModel
from trainables.batch import Batch
from trainables.diagnostics.periods import share_of_noise, strongest_period
from trainables.tasks.scoring import token_nats

TOKENS_AT_ONCE = 1 << 14
"""Tokens of one forward pass."""
LEAST_POSITIONS = 8
"""Fewest positions over which a trend says anything."""


@dataclass(frozen=True)
class PositionLoss:
    """The mean loss at each position, and its trend over the later ones."""

    num_sequences: int
    nats: list[float]
    """At each scored position, mean over sequences."""
    positions: list[int]
    """Which positions those are; 0 is the first token."""
    measured_from: int
    """The first position of the trend: where training sequences end, or half of a sequence that is not longer."""
    slope: float | None
    """Of the loss over position from there on, in nats per 1,000 tokens; None if too few positions are scored."""
    slope_error: float | None
    """Its standard error, by least squares."""
    period: float | None
    """The strongest period of what the trend leaves, in positions."""
    period_share: float | None
    """Its share of the variance."""
    period_share_of_noise: float | None
    """The share that the strongest period of white noise has on average: (ln m + γ) / m for m frequencies."""


@torch.no_grad()
def loss_by_position(model: LanguageModel, batch: Batch, trained_length: int) -> PositionLoss:
    """Measure the loss at each position.

    Args:
        model: In evaluation mode.
        batch: Sequences of one length, on the model's device.
        trained_length: Tokens of the sequences that it was trained on.
    """
    size, length = batch.inputs_BT.shape
    total_T = torch.zeros(length, dtype=torch.float64, device=batch.inputs_BT.device)
    scored_BT = batch.targets_BT >= 0
    for part in batch.split(max(1, TOKENS_AT_ONCE // length)):
        total_T += token_nats(model(part.inputs_BT).logits_BTV, part.targets_BT).double().sum(0)
    count_T = scored_BT.sum(0)
    kept_P = count_T.nonzero()[:, 0]
    nats = (total_T[kept_P] / count_T[kept_P]).cpu().numpy()
    positions = kept_P.cpu().numpy()
    start = trained_length if length > trained_length else length // 2
    return PositionLoss(
        num_sequences=size,
        nats=nats.tolist(),
        positions=positions.tolist(),
        measured_from=start,
        **_trend(positions[positions >= start], nats[positions >= start]),
    )


def _trend(positions: NDArray[np.int64], nats: NDArray[np.float64]) -> dict[str, float | None]:
    if len(positions) < LEAST_POSITIONS:
        fields = ("slope", "slope_error", "period", "period_share", "period_share_of_noise")
        return dict.fromkeys(fields)
    centred = positions - positions.mean()
    slope = float((centred @ nats) / (centred @ centred))
    left = nats - nats.mean() - slope * centred
    error = math.sqrt(float(left @ left) / (len(left) - 2) / float(centred @ centred))
    found = strongest_period(nats)
    return {
        "slope": 1000 * slope,
        "slope_error": 1000 * error,
        "period": found.period,
        "period_share": found.share,
        "period_share_of_noise": share_of_noise(len(nats)),
    }
