"""Mistakes of the user: said once, with what to do; exit code 2, nothing started."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_FAILURES = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

MAX_SUGGESTED = 3
MIN_LIKENESS = 0.5
"""Of a name that is suggested; 1 is equality."""


class UserError(Exception):
    """A mistake the user can mend. The message names where, what, the nearest valid name and what to do."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known name, or for names equally near; else list them all."""
    options = sorted(known)
    likeness = {option: difflib.SequenceMatcher(None, option, name).ratio() for option in options}
    best = max(likeness.values(), default=0.0)
    if best < MIN_LIKENESS:
        return f"known: {', '.join(options)}"
    *others, last = [f"'{option}'" for option in options if likeness[option] == best][:MAX_SUGGESTED]
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
