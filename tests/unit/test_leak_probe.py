"""The probe that tells how much of a score is a look into the future."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.tasks.base import Batch
from trainables.tasks.contract import BettingModel, UniformModel
from trainables.training.probes import leak_probe

VOCAB_SIZE = 8
CHANCE = math.log(VOCAB_SIZE)


def batch() -> Batch:
    """Return 4 sequences of 24 tokens: the probe then looks at no window's end, where nothing is left to see."""
    tokens_BT = torch.randint(VOCAB_SIZE, (4, 25), generator=torch.Generator().manual_seed(0))
    return Batch(tokens_BT[:, :-1], tokens_BT[:, 1:])


def test_a_model_that_reads_the_next_token_leaks_what_it_is_worth() -> None:
    found = leak_probe(BettingModel(VOCAB_SIZE, offset=1), batch())
    assert found["probe/loss_future_visible"] == pytest.approx(0.0, abs=1e-4)
    assert found["probe/loss_future_withheld"] == pytest.approx(CHANCE)
    assert found["probe/leak"] == pytest.approx(CHANCE, abs=1e-4)


def test_a_model_that_knows_nothing_leaks_nothing() -> None:
    found = leak_probe(UniformModel(VOCAB_SIZE), batch())
    assert found["probe/loss_future_visible"] == pytest.approx(CHANCE)
    assert found["probe/leak"] == 0.0
