"""The confirmation of winners: which replicates run on fresh seeds, and which may follow after a look at them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from analysis.records.candidates import Searches
from analysis.records.journal import JournalState
from analysis.records.replicates import Key
from analysis.records.searching import SearchedArm, SearchInfo
from sweeps.errors import UserError
from sweeps.plan.units import PlannedArm

Standing = Literal["waiting", "ready", "over", "stuck"]
"""`waiting`: for winners or scores. `ready`: a look can be taken. `over`: settled, or no look is left. `stuck`: a
replicate has ended without a score, so there is nothing to look at."""


@dataclass(frozen=True)
class Confirmation:
    """What a search compares on fresh seeds.

    Args:
        info: The search.
        declared: config_ids of the arms that are not searched.
    """

    info: SearchInfo
    declared: tuple[str, ...]

    @classmethod
    def of(cls, info: SearchInfo, arms: Iterable[PlannedArm]) -> Confirmation:
        """Return the confirmation of a search in a plan with these arms."""
        searched = {one.arm for one in info.arms}
        declared = (planned.config_id for planned in arms if planned.arm.name not in searched)
        return cls(info, tuple(dict.fromkeys(declared)))

    def keys(self, state: JournalState) -> list[Key]:
        """Return the replicates that are compared as far as it is known now, seed by seed."""
        seeds = state.searches.fresh_seeds(self.info)
        ids = (*self._finalists(state.searches), *self.declared)
        return [(config_id, seed) for seed in seeds for config_id in ids]

    def _finalists(self, searches: Searches) -> list[str]:
        found = (searches.winners[one.search].finalists(one.finalists) for one in self._over(searches))
        return list(dict.fromkeys(each for ids in found for each in ids))

    def _over(self, searches: Searches) -> Iterable[SearchedArm]:
        return (one for one in self.info.arms if one.search in searches.winners)

    def standing(self, state: JournalState) -> Standing:
        """Return whether a look can be taken."""
        if state.searches.is_settled(self.info):
            return "over"
        if len(list(self._over(state.searches))) < len(self.info.arms):
            return "waiting"
        if any(state.is_pending(key) for key in self.keys(state)):
            return "waiting"
        is_scored = all(state.replicates[key].status == "finished" for key in self.keys(state))
        return "ready" if is_scored else "stuck"

    def num_left(self, one: SearchedArm, state: JournalState) -> int:
        """Return how many replicates of the finalists of an arm are still to run, at most."""
        winner = state.searches.winners.get(one.search)
        seeds = self._seeds_ahead(state)
        if winner is None:
            return one.finalists * len(seeds)
        return sum(state.is_pending((each, seed)) for each in winner.finalists(one.finalists) for seed in seeds)

    def num_left_of(self, config_id: str, state: JournalState) -> int:
        """Return how many replicates of an arm that is not searched later looks may add."""
        first = self.info.looks[0] if self.info.looks else len(self.info.confirm_seeds)
        later = self._seeds_ahead(state)[first:]
        return sum(state.is_pending((config_id, seed)) for seed in later)

    def _seeds_ahead(self, state: JournalState) -> tuple[int, ...]:
        """Return the fresh seeds that are started or may be."""
        is_open = self.standing(state) in {"waiting", "ready"}
        return self.info.confirm_seeds if is_open else state.searches.fresh_seeds(self.info)


def check_finalists(info: SearchInfo, state: JournalState) -> None:
    """Refuse several finalists of a search that has ended without a note of its runners-up.

    Raises:
        UserError: If there is one.
    """
    for one in info.arms:
        winner = state.searches.winners.get(one.search)
        if one.finalists > 1 and winner is not None and winner.config_id and winner.runners_up is None:
            raise UserError(
                f"confirm.finalists={one.finalists}: the search of arm '{one.arm}' is over, and an earlier version "
                "noted its winner only; begin another one with --set search.seed=1"
            )
