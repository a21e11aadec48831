"""`did you mean …?` as `search_spaces.suggestions` answers, which this package must not import."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SUGGESTED = 3
MIN_LIKENESS = 0.5
"""Smallest similarity of a suggested name; 1 is equality."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known name or names; without a similar one, list them all."""
    options = sorted(known)
    likeness = {option: difflib.SequenceMatcher(None, option, name).ratio() for option in options}
    best = max(likeness.values(), default=0.0)
    if best < MIN_LIKENESS:
        return f"known: {', '.join(options)}"
    *others, last = [f"'{option}'" for option, ratio in likeness.items() if ratio == best][:MAX_SUGGESTED]
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
