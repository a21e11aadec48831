"""Proportions of independent items, and differences of two."""

from __future__ import annotations

import math

from analysis.statistics.transforms import Interval


def wilson(hits: float, items: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a rate; `hits` may be a fraction.

    Source:
        Wilson (1927), Journal of the American Statistical Association 22:209-212.
    """
    z = _z(confidence)
    rate, width = hits / items, 1 + z**2 / items
    center = (rate + z**2 / (2 * items)) / width
    half = z / width * math.sqrt(rate * (1 - rate) / items + z**2 / (4 * items**2))
    # At 0 and at 1 the bound is exact; rounding must not move it.
    return (0.0 if hits == 0 else center - half), (1.0 if hits == items else center + half)


def jeffreys(hits: int, items: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a rate with equal tails of its posterior after Jeffreys' prior.

    At no hit, and at nothing but hits, the end is 0 or 1: otherwise the interval would not contain the estimate.

    Source:
        Brown, Cai & DasGupta (2001), Statistical Science 16:101-133.
    """
    from scipy import special  # not `scipy.stats`, which takes a second to import

    tail = (1 - confidence) / 2
    a, b = hits + 0.5, items - hits + 0.5
    low = 0.0 if hits == 0 else float(special.betaincinv(a, b, tail))
    high = 1.0 if hits == items else float(special.betainccinv(a, b, tail))
    return low, high


def newcombe(hits_a: float, items_a: int, hits_b: float, items_b: int, confidence: float = 0.95) -> Interval:
    """Return the hybrid score interval of the difference of two rates, a − b.

    Source:
        Newcombe (1998), Statistics in Medicine 17:873-890, method 10.
    """
    a, b = hits_a / items_a, hits_b / items_b
    (low_a, high_a), (low_b, high_b) = wilson(hits_a, items_a, confidence), wilson(hits_b, items_b, confidence)
    low = a - b - math.hypot(a - low_a, high_b - b)
    high = a - b + math.hypot(high_a - a, b - low_b)
    return Interval(max(-1.0, low), min(1.0, high), "Newcombe on one seed's items")


def _z(confidence: float) -> float:
    from scipy import special  # not `scipy.stats`, which takes a second to import

    return -float(special.ndtri((1 - confidence) / 2))
