"""Rates and the counts that they can be of."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.reported.printed import Printed

_MOST_ITEMS = 400
"""Denominators that are tried."""


def count(rate: Printed, items: int, hits: int | None = None) -> str | None:
    """A rate is a whole number of items, and the one that is named.

    Source:
        Brown & Heathers (2017), Social Psychological and Personality Science 8:363-369: the GRIM test.
    """
    if hits is not None:
        if rate.holds(hits / items):
            return None
        impossible = "" if _hits(rate, items) else f", and no count of {items} rounds to it"
        return f"{hits}/{items} is {hits / items:.4g}, not {rate.text}{impossible}"
    if _hits(rate, items):
        return None
    return f"{rate.text} is no rate of {items} items: no whole count rounds to it"


def parts(
    whole_rate: Printed, mean_parts: Printed, num_parts: int, items: int, others: Sequence[Printed] = ()
) -> str | None:
    """Where items have parts, more parts are right than those of the items that are right as a whole.

    If the rate of whole items equals the rate of parts, either every right part lies in an item that is right as a
    whole, or the rate is one of parts, and its denominator is not the number of items.
    """
    of_parts = mean_parts.value / num_parts
    if not whole_rate.holds(of_parts) or of_parts == 0:
        return None
    fits = (
        n
        for n in range(1, _MOST_ITEMS + 1)
        if n != items
        and all(_hits(rate, n * num_parts) for rate in (whole_rate, *others))
        and any(mean_parts.holds(hits / n) for hits in _hits(whole_rate, n * num_parts))
    )
    roundest = min(fits, key=lambda n: (n % 50 > 0, n % 10 > 0, n), default=None)
    shown = "" if roundest is None else f"; {_counts((whole_rate, *others), roundest * num_parts)} fit all figures"
    return (
        f"{whole_rate.text} is also {mean_parts.text}/{num_parts}: either every right part lies in an item that is "
        f"right as a whole, or it is a rate of parts, and {items} is not its denominator{shown}"
    )


def _counts(rates: Sequence[Printed], items: int) -> str:
    return " and ".join(f"{_hits(rate, items)[0]}/{items}" for rate in rates)


def _hits(rate: Printed, items: int) -> list[int]:
    """Return the counts of `items` that round to a rate."""
    near = range(max(0, math.floor(rate.low * items)), min(items, math.ceil(rate.high * items)) + 1)
    return [hits for hits in near if rate.holds(hits / items)]
