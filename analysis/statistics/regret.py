"""Regret against budget: how much worse than the best possible a search's leader is, by what it has spent."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

Path = Sequence[tuple[float, float]]
"""Of one search: what was spent when its leader changed, and the regret of that leader, in order."""


@dataclass(frozen=True, kw_only=True)
class RegretPoint:
    """The regret of many searches after each has spent so much."""

    spent: float
    """Replicates, as if each were trained to the last step."""
    median: float | None
    """None while as many searches have no leader yet, nothing being scored, as make it unknown."""
    quartile_low: float | None
    quartile_high: float | None


def regret_curve(paths: Sequence[Path], budgets: Sequence[float]) -> tuple[RegretPoint, ...]:
    """Return median and quartiles over searches at each budget; a search that is over keeps its leader.

    Args:
        paths: Of the searches, at least one.
        budgets: What is spent.
    """
    return tuple(_point([_regret(path, spent) for path in paths], spent) for spent in budgets)


def _regret(path: Path, spent: float) -> float:
    place = bisect_right([at for at, _ in path], spent + 1e-9)
    return path[place - 1][1] if place else math.inf


def _point(regrets: Sequence[float], spent: float) -> RegretPoint:
    ordered = sorted(regrets)
    low, median, high = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    return RegretPoint(spent=spent, median=median, quartile_low=low, quartile_high=high)


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return a quantile, between two values by their distance; None where it is infinite."""
    place, part = divmod(share * (len(ordered) - 1), 1)
    below = ordered[int(place)]
    found = below if part == 0 or math.isinf(below) else below + part * (ordered[int(place) + 1] - below)
    return found if math.isfinite(found) else None
