"""Loss by position: the trend and the period that were put in are found."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.batch import IGNORED, Batch
from trainables.inspection.loss_by_position import loss_by_position


class KnownLoss(LanguageModel):
    """Gives token 0 the probability e^{-nats} at each position."""

    def __init__(self, nats_T: Tensor) -> None:
        super().__init__()
        self.log_p_T = -nats_T

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        log_p_T = self.log_p_T.double()
        logits_TV = torch.stack((log_p_T, torch.log1p(-log_p_T.exp())), -1)
        return ModelOutput(logits_TV.expand(len(tokens_BT), -1, -1), torch.zeros(()))


def batch(length: int, size: int = 3) -> Batch:
    return Batch(torch.zeros(size, length, dtype=torch.long), torch.zeros(size, length, dtype=torch.long))


def test_the_slope_beyond_the_trained_length_and_the_period_are_found() -> None:
    position_T = torch.arange(400, dtype=torch.float64)
    nats_T = 1.0 + 0.5 * (position_T - 100).clamp(min=0) / 1000 + 0.1 * torch.sin(2 * math.pi * position_T / 10)
    found = loss_by_position(KnownLoss(nats_T), batch(400), trained_length=100)
    assert found.nats == pytest.approx(nats_T.tolist())
    assert (found.measured_from, found.num_sequences) == (100, 3)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.period == pytest.approx(10)
    assert found.period_share is not None
    assert found.period_share > 0.99


def test_noise_has_no_period_that_stands_out() -> None:
    nats_T = 1.0 + 0.1 * torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = loss_by_position(KnownLoss(nats_T), batch(1000), trained_length=1000)
    assert found.measured_from == 500
    assert found.slope is not None
    assert found.slope_error is not None
    assert abs(found.slope) < 3 * found.slope_error
    assert found.period_share == pytest.approx(found.period_share_of_noise, rel=0.6)


def test_positions_that_are_not_scored_are_left_out() -> None:
    nats_T = torch.linspace(1, 2, 40, dtype=torch.float64)
    given = batch(40)
    given.targets_BT[:, ::2] = IGNORED
    given.targets_BT[0, 1] = IGNORED
    found = loss_by_position(KnownLoss(nats_T), given, trained_length=40)
    assert found.positions == list(range(1, 40, 2))
    assert found.nats == pytest.approx(nats_T[1::2].tolist())


def test_a_few_positions_make_no_trend() -> None:
    found = loss_by_position(KnownLoss(torch.ones(10)), batch(10), trained_length=10)
    assert (found.slope, found.period) == (None, None)
