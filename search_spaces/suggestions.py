"""`did you mean …?`: the common answer to an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SUGGESTED = 3
MIN_LIKENESS = 0.5
"""Smallest similarity of a suggested name; 1 is equality."""


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names nearest to `name`, several if they are equally near; none if none is similar."""
    likeness = {option: difflib.SequenceMatcher(None, option, name).ratio() for option in sorted(known)}
    best = max(likeness.values(), default=0.0)
    if best < MIN_LIKENESS:
        return []
    return [option for option, ratio in likeness.items() if ratio == best][:MAX_SUGGESTED]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known name or names; without a similar one, list them all."""
    options = list(known)
    *others, last = [f"'{option}'" for option in closest(name, options)] or [""]
    if not last:
        return f"known: {', '.join(sorted(options))}"
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
