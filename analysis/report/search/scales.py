"""Where values of a field lie on an axis: as choices, or on a range, by logarithm where they are spread so.

A journal has the values that were tried, not the space.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from analysis.report.search.tables import short
from analysis.results.candidates import ArmCandidates

LOG_FROM = 30.0
"""Least ratio of the largest to the smallest value for which an axis may be logarithmic."""
MOST_TICKS = 4
"""Values up to this many are all labelled."""


@dataclass(frozen=True)
class FieldScale:
    """The values of one field, as an axis."""

    values: tuple[Any, ...]
    """Of all candidates in which the field has an effect."""

    @cached_property
    def is_choice(self) -> bool:
        """Whether values are names, or true and false."""
        return not all(type(value) in {int, float} for value in self.values)

    @cached_property
    def is_log(self) -> bool:
        """Whether places go by logarithm: whether the median is nearer to the middle there than on a plain axis."""
        if self.is_choice or min(self.values) <= 0 or max(self.values) / min(self.values) < LOG_FROM:
            return False
        plain, logarithms = [float(value) for value in self.values], [math.log(value) for value in self.values]
        return _off_centre(logarithms) < _off_centre(plain)

    @cached_property
    def _distinct(self) -> list[Any]:
        return sorted(set(self.values), key=lambda value: (str(type(value)), value))

    def at(self, value: Any) -> float:
        """Return the place of a value, from 0 to 1."""
        if self.is_choice:
            return (self._distinct.index(value) + 0.5) / len(self._distinct)
        low, high, own = (self._place(each) for each in (min(self.values), max(self.values), value))
        return 0.5 if high == low else (own - low) / (high - low)

    def _place(self, value: float) -> float:
        return math.log(value) if self.is_log else float(value)

    def ticks(self, count: int) -> tuple[list[float], list[str]]:
        """Return places and labels: of every value if there are few, else of about `count` in between."""
        shown = self._distinct if len(self._distinct) <= MOST_TICKS and not self._is_real else self._between(count)
        return [self.at(value) for value in shown], [short(value) for value in shown]

    @cached_property
    def _is_real(self) -> bool:
        return any(type(value) is float for value in self.values)

    def _between(self, count: int) -> list[float]:
        from matplotlib.ticker import LogLocator, MaxNLocator

        low, high = min(self.values), max(self.values)
        if low == high:
            return [low]
        decades = math.log10(high / low) if self.is_log else 0.0
        subs = (1.0,) if decades > 2 else (1.0, 3.0)
        locator = (
            LogLocator(subs=subs, numticks=count + 2)
            if self.is_log
            else MaxNLocator(count, steps=[1, 2, 2.5, 5, 10], integer=not self._is_real)
        )
        found = [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]
        return found if len(found) > 1 else [low, high]


def _off_centre(values: list[float]) -> float:
    """Return how far the median is from the middle, as a share of the range."""
    low, high = min(values), max(values)
    return abs(statistics.median(values) - (low + high) / 2) / (high - low)


def scale_of(found: ArmCandidates, field: str) -> FieldScale:
    """Return the axis of a field; of one that has an effect nowhere it has no values."""
    return FieldScale(tuple(row.point[field] for row in found.rows if field in row.point))
