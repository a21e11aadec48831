"""Hits among the likeliest tokens, margins, and how many of several are hit."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from trainables.tasks.scoring import at_least, hit_probability, margin


def test_hits_share_ties_and_pass_nan_on() -> None:
    logits = torch.tensor([[3.0, 1.0, 3.0, 0.0], [3.0, 1.0, 1.0, 1.0], [1.0, math.nan, 0.0, 0.0]])
    targets = torch.tensor([2, 1, 0])
    assert hit_probability(logits, targets, 1).tolist()[:2] == [0.5, 0.0]
    assert hit_probability(logits, targets, 2).tolist()[:2] == pytest.approx([1.0, 1 / 3])
    assert math.isnan(hit_probability(logits, targets, 1)[2])
    assert margin(logits, targets).tolist()[:2] == [0.0, -2.0]
    assert margin(logits[:2], torch.tensor([1, 0])).tolist() == [-2.0, 2.0]
    assert math.isnan(margin(logits, targets)[2])


def test_at_least_is_a_binomial_tail_where_all_are_equally_likely() -> None:
    found = at_least(torch.full((1, 16), 0.3, dtype=torch.float64), 8)
    assert float(found) == pytest.approx(float(stats.binom.sf(7, 16, 0.3)))
    assert at_least(torch.tensor([[1.0, 0.0, 1.0]]), 2).tolist() == [1.0]
