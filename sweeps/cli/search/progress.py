"""How far searches are, and the comparison of their winners, as `status` shows it."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.records.journal import JournalState


@dataclass(frozen=True)
class SearchProgress:
    """How far the search of an arm is."""

    arm: str
    num_candidates: int
    is_over: bool
    """Whether its winner is selected."""


@dataclass(frozen=True)
class LookProgress:
    """How far the comparison of winners on fresh seeds is, if it is by looks."""

    taken: int
    of: int
    seeds: int
    """Fresh seeds that have been started, or are next."""
    is_over: bool
    """Whether no more seeds will start: winners can be told from the baseline, or no look is left."""


def searches_of(state: JournalState) -> list[SearchProgress]:
    """Return how far the searches of the newest sweep are."""
    info, searches = state.sweep.search if state.sweep else None, state.searches
    arms = info.arms if info else ()
    return [SearchProgress(one.arm, len(searches.of(one.search)), one.search in searches.winners) for one in arms]


def looks_of(state: JournalState) -> LookProgress | None:
    """Return how far the looks of the newest sweep are; None if it takes none."""
    info, searches = state.sweep.search if state.sweep else None, state.searches
    if info is None or not info.looks:
        return None
    taken = len(searches.looks.get(info.confirmation, []))
    seeds = len(searches.fresh_seeds(info))
    return LookProgress(taken, len(info.looks), seeds, searches.is_settled(info))
