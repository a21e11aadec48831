"""`did you mean …?`: the one way in which a name that nothing has is answered."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SUGGESTED = 3
MIN_LIKENESS = 0.5
"""Of a name that is suggested; 1 is equality."""


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names nearest to `name`, several if they are equally near; none if nothing is like it."""
    likeness = {option: difflib.SequenceMatcher(None, option, name).ratio() for option in sorted(known)}
    best = max(likeness.values(), default=0.0)
    if best < MIN_LIKENESS:
        return []
    return [option for option, ratio in likeness.items() if ratio == best][:MAX_SUGGESTED]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known name, or for names equally near; else list them all."""
    options = list(known)
    *others, last = [f"'{option}'" for option in closest(name, options)] or [""]
    if not last:
        return f"known: {', '.join(sorted(options))}"
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
