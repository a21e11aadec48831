"""The strongest period of a series: closed forms, and noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainables.diagnostics.periods import share_of_noise, strongest_period

POSITIONS = np.arange(1130)


@pytest.mark.parametrize("period", [2, 5, 10, 113])
def test_a_wave_on_a_slope_is_found(period: int) -> None:
    found = strongest_period(3.0 + 1e-3 * POSITIONS + 0.1 * np.cos(2 * math.pi * POSITIONS / period))
    assert found.period == pytest.approx(period)
    assert found.share > 0.95


def test_of_two_waves_the_share_is_that_of_the_squares() -> None:
    waves = 3 * np.sin(2 * math.pi * POSITIONS / 10) + np.sin(2 * math.pi * POSITIONS / 5)
    assert strongest_period(waves).share == pytest.approx(0.9, abs=1e-3)


def test_a_longer_period_than_asked_for_does_not_count() -> None:
    slow, fast = np.sin(2 * math.pi * POSITIONS / 565), 0.1 * np.sin(2 * math.pi * POSITIONS / 10)
    assert strongest_period(slow + fast).period == pytest.approx(565)
    found = strongest_period(slow + fast, longest=113)
    assert found.period == pytest.approx(10)


def test_a_straight_line_has_none() -> None:
    assert strongest_period(5.0 - 0.3 * POSITIONS) == (None, 0.0)
    assert strongest_period(np.full(20, math.log(256))) == (None, 0.0)


@pytest.mark.parametrize("longest", [math.inf, 50])
def test_noise_has_the_share_that_is_told(longest: float) -> None:
    draws = np.random.default_rng(0).normal(size=(200, 256))
    shares = [strongest_period(series, longest).share for series in draws]
    assert np.mean(shares) == pytest.approx(share_of_noise(256, longest), rel=0.05)
