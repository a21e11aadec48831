"""Rank correlation over configurations, one a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.statistics.transforms import Interval, is_constant


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None below three points or if one is
    constant."""
    if len(x) != len(y):
        raise ValueError(f"a correlation needs equal lengths, got {len(x)} and {len(y)}")
    a, b = _ranks(np.asarray(x, dtype=float)), _ranks(np.asarray(y, dtype=float))
    if a.size < 3 or is_constant(a) or is_constant(b):
        return None
    return float(np.corrcoef(a, b)[0, 1])


def fisher_z(correlation: float, points: int) -> float:
    """Return Fisher's z; a perfect order counts as half a step below 1, because its z is infinite.

    Args:
        correlation: Between −1 and 1.
        points: Ranked points. One step of Spearman's correlation is 12 / (points³ − points).
    """
    most = 1 - 6 / (points**3 - points)
    return math.atanh(max(-most, min(most, correlation)))


def bonett_wright(correlation: float, points: int, confidence: float = 0.95) -> Interval | None:
    """Return the interval of one Spearman correlation over independent points; None below four points.

    Source:
        Bonett & Wright (2000), Psychometrika 65:23-28.
    """
    from scipy import special  # not `scipy.stats`, which takes a second to import

    if points < 4:
        return None
    z = fisher_z(correlation, points)
    reach = -float(special.ndtri((1 - confidence) / 2)) * math.sqrt((1 + correlation**2 / 2) / (points - 3))
    return Interval(math.tanh(z - reach), math.tanh(z + reach), "Fisher z with Bonett and Wright's variance")


def _ranks(values: np.ndarray) -> np.ndarray:
    order = values.argsort(kind="stable")
    ranks = np.empty(values.size)
    ranks[order] = np.arange(1.0, values.size + 1)
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    means: np.ndarray = (np.bincount(group, weights=ranks) / sizes)[group]
    return means
