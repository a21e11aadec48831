"""One-sided tests by inversion of intervals, and how many seeds a test needs.

A one-sided p of "above s" is the smallest level α at which the interval of coverage 1 − 2α lies above s. For
Student-t intervals that is Student's own p; for rates and for items it follows the interval that is shown, so that
a verdict never contradicts it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from analysis.statistics.inference import smallest_detectable_effect
from analysis.statistics.transforms import Interval

IntervalAt = Callable[[float], Interval | None]
"""Maps a coverage between 0 and 1 to the interval of that coverage; None if there is none."""

_BISECTIONS = 40
_SMALLEST, _LARGEST = 1e-15, 0.4999
MOST_SEEDS = 999


def p_sides(interval_at: IntervalAt, bound: float) -> tuple[float | None, float | None]:
    """Return the one-sided p of "above `bound`" and of "below `bound`", which add to 1; None without an interval.

    The first is small if the quantity is shown to be above, the second if it is shown to be below.
    """
    narrowest = interval_at(1 - 2 * _LARGEST)
    if narrowest is None:
        return None, None
    if narrowest.low > bound:
        p = _smallest_level(interval_at, lambda interval: interval.low > bound)
        return p, 1 - p
    if narrowest.high < bound:
        p = _smallest_level(interval_at, lambda interval: interval.high < bound)
        return 1 - p, p
    return 0.5, 0.5


def p_above(interval_at: IntervalAt, bound: float) -> float | None:
    """Return the one-sided p of the hypothesis that the quantity is at most `bound`; None without an interval."""
    return p_sides(interval_at, bound)[0]


def p_below(interval_at: IntervalAt, bound: float) -> float | None:
    """Return the one-sided p of the hypothesis that the quantity is at least `bound`; None without an interval."""
    return p_sides(interval_at, bound)[1]


def _smallest_level(interval_at: IntervalAt, is_shown: Callable[[Interval], bool]) -> float:
    """Return the smallest level at which the interval shows it, by bisection on the logarithm."""
    low, high = math.log(_SMALLEST), math.log(_LARGEST)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        interval = interval_at(1 - 2 * math.exp(middle))
        if interval is not None and is_shown(interval):
            high = middle
        else:
            low = middle
    return math.exp(high)


def seeds_needed(spread: float, effect: float, *, level: float, power: float = 0.8) -> int | None:
    """Return the pairs of seeds with which a one-sided paired t-test finds an effect.

    Args:
        spread: Standard deviation of the paired differences.
        effect: The difference to be found, in the same unit; its sign does not matter.
        level: One-sided.
        power: Probability of finding it.

    Returns:
        At least 2; None if it is more than `MOST_SEEDS`, or there is no spread or no effect.
    """
    if spread <= 0 or effect == 0:
        return None

    def finds(n: int) -> bool:
        return smallest_detectable_effect(n, alpha=2 * level, power=power) * spread <= abs(effect)

    if not finds(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS  # the fewest seeds that find it lie in (low, high]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high
