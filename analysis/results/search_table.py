"""The tables of what searches have found, as `best` prints them.

Scores on the search's own seeds chose the winner, so they are too good. They never stand in one column with those
on fresh seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.results.search.expected_best import ExpectedBest
from analysis.results.table import ResultRow


@dataclass(frozen=True, kw_only=True)
class BestRow:
    """A candidate of a search. Values that do not exist are None."""

    rank: int
    """Among the candidates of its arm: the higher rung first, then the better mean there."""
    arm: str
    number: int
    config_id: str
    by: str
    """What proposed it."""
    point: dict[str, Any]
    """The fields that vary, with its values."""
    rung: int | None
    """The highest rung where it is scored; None before the first score."""
    steps: int | None
    """Optimiser steps at that rung."""
    n_search: int
    """Seeds of the search behind the mean."""
    mean_search: float | None
    """Mean over them: selected on these seeds, so too good for the best."""
    search_ci_low: float | None
    search_ci_high: float | None
    objectives: dict[str, float]
    """{objective: mean over the seeds of the search}, of a search with several; empty otherwise."""
    is_on_front: bool
    """Whether no candidate is as good in every objective and better in one; False with one objective."""
    status: str
    """`winner`, `finalist`, `failed`, `training` or `stopped`: at a rung, where others are better."""


@dataclass(frozen=True, kw_only=True)
class RungRow:
    """One rung of the search of one arm."""

    arm: str
    rung: int
    steps: int
    seeds: int
    n_scored: int
    n_failed: int
    """Candidates of which a replicate failed at this rung; they are not among the scored ones."""
    rank_correlation: float | None
    """Spearman's, of its means with those at the next rung, over candidates that have both; None below three."""
    n_pairs: int


@dataclass(frozen=True, kw_only=True)
class SearchRow:
    """The search of one arm."""

    arm: str
    method: str
    fields: tuple[str, ...]
    n_candidates: int
    spent_replicates: float
    """What was trained, in replicates trained to the last step."""
    budget_replicates: float
    core_seconds: float
    """CPU time of the search's replicates; of those that have ended."""
    winner: str | None
    """config_id; None while the search goes on, or if everything failed."""
    stopped_because: str | None
    """None while the search goes on."""
    confirmed: ResultRow | None
    """The winner on fresh seeds, compared with the baseline; None before it has a score there."""
    finalists: tuple[ResultRow, ...]
    """Other finalists on fresh seeds, in the order of the search; p is adjusted over them, too."""
    expected_best: ExpectedBest
    """What the best of n random candidates would be expected to show: how many a search needs."""


@dataclass(frozen=True, kw_only=True)
class LookRow:
    """A comparison of the winners after some of the fresh seeds."""

    seeds: int
    alpha: float
    """Its two-sided level."""
    is_settled: bool | None
    """Whether every winner could be told from the baseline; None: not taken yet, or not needed."""
    p: dict[str, float | None]
    """{arm: adjusted p}, settled below 0.05; empty if it is not taken."""


@dataclass(frozen=True, kw_only=True)
class BestTable:
    """The searches of a study."""

    study: str
    scale: str
    metric: str
    """By which candidates were chosen."""
    unit: str
    direction: str
    seeds: tuple[int, ...]
    """Of the search."""
    confirm_seeds: tuple[int, ...]
    """Fresh ones; with looks, those that have been started so far."""
    looks: tuple[LookRow, ...]
    """Empty if all fresh seeds are started at once."""
    searches: tuple[SearchRow, ...]
    rungs: tuple[RungRow, ...]
    rows: tuple[BestRow, ...]
