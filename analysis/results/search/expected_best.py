"""What the best of n random candidates of a search would be expected to show: how many a search needs.

Only candidates that were drawn whatever others had scored are random ones; what a model proposed, or somebody
chose, is left out. All stand at the first rung, for which nobody was selected. The best of several scores is too
good as a result: these numbers belong to the search, as its ranks do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.statistics.expected_maximum import tang

DRAWN_BY = ("random", "sobol")
"""What proposes candidates whatever others have scored; a Sobol sequence spreads them more evenly than chance."""
LEAST = 4


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """The expected best score of so many random candidates."""

    n: int
    expected: float


@dataclass(frozen=True, kw_only=True)
class ExpectedBest:
    """Expected best scores in the search of an arm."""

    steps: int
    """Of the first rung."""
    seeds: int
    n_random: int
    """Random candidates behind the numbers."""
    n_failed: int
    """Of those; a failure is worse than every score."""
    best_of: tuple[BestOf, ...]
    """1, 2, 4 candidates and so on, up to half of them: beyond, few candidates decide. Without those of which all
    may be failures."""
    refused: str | None
    """Why there are none; None if there are."""


@dataclass(frozen=True, kw_only=True)
class FirstScore:
    """A candidate at the first rung."""

    by: str
    """What proposed it."""
    score: float | None
    has_failed: bool


def expected_best(
    candidates: Sequence[FirstScore],
    *,
    steps: int,
    seeds: int,
    direction: Literal["minimise", "maximise"],
    num_objectives: int = 1,
) -> ExpectedBest:
    """Return the expected best score of 1, 2, 4 and more random candidates.

    Args:
        candidates: All of the search of an arm.
        steps: Of the first rung.
        seeds: Of the first rung.
        direction: Of the score.
        num_objectives: Of the search; of several there is no single best.
    """
    drawn = [one for one in candidates if one.by in DRAWN_BY]
    known = [one for one in drawn if one.score is not None or one.has_failed]
    sign = -1.0 if direction == "minimise" else 1.0
    values = [-math.inf if one.score is None else sign * one.score for one in known]
    refused = (
        _refusal(len(candidates), drawn, known)
        if num_objectives == 1
        else f"of {num_objectives} objectives there is no single best"
    )
    found = () if refused else tuple(_best_of(values, sign))
    num_failed = values.count(-math.inf)
    if not refused and not found:
        refused = f"{num_failed} of {len(values)} random candidates failed"
    return ExpectedBest(
        steps=steps,
        seeds=seeds,
        n_random=len(known),
        n_failed=num_failed,
        best_of=found,
        refused=refused,
    )


def _refusal(num_candidates: int, drawn: Sequence[FirstScore], known: Sequence[FirstScore]) -> str | None:
    if len(drawn) < LEAST:
        return f"{len(drawn)} of {num_candidates} candidates are random or from Sobol, and {LEAST} are needed"
    if len(known) < len(drawn):
        return f"{len(drawn) - len(known)} of {len(drawn)} random candidates have no score yet"
    return None


def _best_of(values: Sequence[float], sign: float) -> Iterator[BestOf]:
    for power in range((len(values) // 2).bit_length()):
        expected = tang(values, 2**power)
        if math.isfinite(expected):
            yield BestOf(n=2**power, expected=sign * expected)
