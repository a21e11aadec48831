"""`did you mean …?`, worded as in `search_spaces.suggestions`, which this package must not import."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known name; without a similar one, list them all."""
    options = list(known)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(options))}"
