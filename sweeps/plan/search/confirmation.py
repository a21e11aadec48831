"""The confirmation of winners: which replicates run on fresh seeds, and which may follow after a look at them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from analysis.records.ablation import AblationInfo
from analysis.records.candidates import Searches
from analysis.records.journal import JournalState
from analysis.records.path import PATH_SEEDS
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
        declared: config_ids of the arms that are neither searched nor made from a winner.
        ablation: The ablation around a winner, if there is one.
    """

    info: SearchInfo
    declared: tuple[str, ...]
    ablation: AblationInfo | None = None

    @classmethod
    def of(cls, info: SearchInfo, arms: Iterable[PlannedArm], ablation: AblationInfo | None = None) -> Confirmation:
        """Return the confirmation of a search in a plan with these arms."""
        following = {*(one.arm for one in info.arms), *(ablation.settings if ablation else ())}
        declared = (planned.config_id for planned in arms if planned.arm.name not in following)
        return cls(info, tuple(dict.fromkeys(declared)), ablation)

    @property
    def around(self) -> str:
        """Id of the search whose winner is ablated; empty if none is."""
        arm = self.ablation.around if self.ablation else None
        return next((one.search for one in self.info.arms if one.arm == arm), "")

    def unborn(self, state: JournalState) -> list[str]:
        """Return the arms of the ablation that are to be made: their winner is selected, and they are not there."""
        winner = state.searches.winners.get(self.around)
        if self.ablation is None or winner is None or winner.config_id is None:
            return []
        born = state.searches.arms_without(self.ablation, self.info)
        return [name for name in self.ablation.settings if name not in born]

    def num_left_of_ablation(self, state: JournalState) -> int:
        """Return how many replicates of arms that are made from a winner are still to run."""
        if self.ablation is None:
            return 0
        winner = state.searches.winners.get(self.around)
        if winner is not None and winner.config_id is None:
            return 0
        born = state.searches.arms_without(self.ablation, self.info).values()
        seeds = self.info.confirm_seeds
        unborn = len(self.ablation.settings) - len(born)
        return unborn * len(seeds) + sum(state.is_pending((one.config_id, seed)) for one in born for seed in seeds)

    def num_left_of_path(self, state: JournalState) -> int:
        """Return how many replicates of the path to a winner are still to run; before it is walked, at most."""
        searched = next((one for one in self.info.arms if one.arm == self.info.path), None)
        if searched is None:
            return 0
        winner = state.searches.winners.get(searched.search)
        if winner is not None and winner.config_id is None:
            return 0
        fresh = self.info.confirm_seeds
        if (path := state.searches.path_of(self.info)) is not None:
            return sum(state.is_pending((one.config_id, seed)) for one in path for seed in fresh)
        num_fields = len(searched.fields)
        # The last field is not tried: nothing is left to choose from.
        return PATH_SEEDS * (num_fields * (num_fields + 1) // 2 - 1) + num_fields * len(fresh)

    def keys(self, state: JournalState) -> list[Key]:
        """Return the replicates that are compared as far as it is known now, seed by seed."""
        seeds = state.searches.fresh_seeds(self.info)
        born = [one.config_id for one in state.searches.arms_without(self.ablation, self.info).values()]
        path = [one.config_id for one in state.searches.path_of(self.info) or ()]
        ids = dict.fromkeys((*self._finalists(state.searches), *self.declared, *born, *path))
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
