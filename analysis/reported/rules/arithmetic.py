"""Numbers that follow from others in the same text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product as combinations
from typing import Literal

from analysis.reported.printed import Printed, Span, magnitude


def relative_change(change: Printed, before: Printed, after: Printed) -> str | None:
    """A change in percent is the difference over the value before; its sign may be left out."""
    ends = [abs(b - a) / a for a in (before.low, before.high) for b in (after.low, after.high)]
    if magnitude(change).holds(min(ends), max(ends)):
        return None
    truth = abs(after.value - before.value) / before.value
    return f"from {before.text} to {after.text} it changes by {100 * truth:.2f} %, not {change.text}"


def product(result: Printed, factors: Sequence[Printed]) -> str | None:
    """A product is that of its factors."""
    ends = [math.prod(corner) for corner in combinations(*((one.low, one.high) for one in factors))]
    if result.holds(min(ends), max(ends)):
        return None
    listed = " × ".join(one.text for one in factors)
    return f"{listed} is {math.prod(one.value for one in factors):.6g}, not {result.text}"


def order(greater: Printed, lesser: Printed) -> str | None:
    """A number that is said to be greater is."""
    return None if greater.high > lesser.low else f"{greater.text} is not more than {lesser.text}"


def total(sum_of: Span, terms: Sequence[Span]) -> str | None:
    """A total is the sum of its terms, of ranges at both ends. Terms are taken as exact."""
    first, last = (float(sum(getattr(term, end).value for term in terms)) for end in ("first", "last"))
    if sum_of.first.holds(first) and sum_of.last.holds(last):
        return None
    added = f"{first:g}" if first == last else f"{first:g} to {last:g}"
    return f"the {len(terms)} terms add to {added}, not {sum_of.text}"


def convex(new: Printed, old: Printed, said: str) -> str | None:
    """Shares of new and old add to 1; otherwise a constant input is amplified."""
    if new.low + old.low <= 1 <= new.high + old.high:
        return None
    gain = new.value / (1 - old.value)
    added = f"{new.text} + {old.text} = {new.value + old.value:.4g}"
    return f"“{said}” is no mixture: {added}; a constant is multiplied by {gain:.3g}"


def superlative(best: Printed, others: Sequence[Printed], better: Literal["lower", "higher"]) -> str | None:
    """What is called the best is not surpassed in the same text."""
    sign = 1 if better == "higher" else -1
    beaten = [one.text for one in others if sign * (one.value - best.value) > one.half_unit + best.half_unit]
    return f"{best.text} is called the best beside {', '.join(beaten)}" if beaten else None
