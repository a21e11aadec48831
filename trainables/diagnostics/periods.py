"""Does a series oscillate? Its strongest period, and how much of it that is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-12
"""Deviations from the trend that are smaller than this share of the largest value are rounding."""


class StrongestPeriod(NamedTuple):
    """The frequency of a series that has most of its power."""

    period: float | None
    """In entries; None: the series is a straight line."""
    share: float
    """Of the power at all frequencies that were looked at: Fisher's g."""


def strongest_period(series: NDArray[np.float64], longest: float = math.inf) -> StrongestPeriod:
    """Return the strongest period, of at most `longest` entries, of what a straight line leaves of a series.

    Source:
        Fisher (1929), "Tests of significance in harmonic analysis". Proc. R. Soc. A 125.
    """
    centred = np.arange(len(series)) - (len(series) - 1) / 2
    left = series - series.mean() - (centred @ series) / (centred @ centred) * centred
    first = _first_frequency(len(series), longest)
    power = np.abs(np.fft.rfft(left)[first:]) ** 2
    if not len(power) or np.abs(left).max() <= ROUNDING * np.abs(series).max():
        return StrongestPeriod(None, 0.0)
    strongest = int(power.argmax())
    return StrongestPeriod(len(series) / (first + strongest), float(power[strongest] / power.sum()))


def share_of_noise(length: int, longest: float = math.inf) -> float:
    """Return the mean share of the strongest period of white noise: (ln m + γ) / m for m frequencies."""
    count = length // 2 + 1 - _first_frequency(length, longest)
    return (math.log(count) + float(np.euler_gamma)) / count


def _first_frequency(length: int, longest: float) -> int:
    """Return the fewest cycles in `length` entries whose period is at most `longest`."""
    return max(1, math.ceil(length / longest))
