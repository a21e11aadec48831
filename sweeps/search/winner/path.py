"""The path to the winner of a search, as the journal has it: what is born, tried and flipped next."""

from __future__ import annotations

import math

from analysis.records.journal import JournalState
from analysis.records.path import PATH_SEEDS, Flip, Walk, Waypoint
from analysis.results.searches import has_failed, rung_scores
from search_spaces.dimensions import freeze, identity
from sweeps.plan.search.candidates import SearchPlan
from sweeps.plan.units import PlannedArm
from sweeps.search.chooser import Unit
from sweeps.search.winner.route import DeadEndError, Point, Route, Try


class WinnerPath:
    """Decides the path of a search, one decision at a time, and plans what it tries.

    Args:
        plan: The search; it may have no path.
    """

    def __init__(self, plan: SearchPlan) -> None:
        self._plan, self._arm = plan, plan.info.path
        self.search = next((one.search for one in plan.info.arms if one.arm == self._arm), "")
        self._route: Route | None = None
        self._ids: dict[str, str] = {}

    def next(self, state: JournalState) -> Waypoint | Flip | None:
        """Return the next decision; None if there is none now, or the path has come to a dead end."""
        try:
            return self._next(state)
        except DeadEndError:
            return None

    def dead_end(self, state: JournalState) -> str:
        """Return why the path leads no further; empty if it may."""
        try:
            self._next(state)
        except DeadEndError as error:
            return str(error)
        return ""

    def is_open(self, state: JournalState) -> bool:
        """Return whether the winner is selected and not reached, though it may be."""
        winner = self._winner(state)
        return winner is not None and not self._walk(state).has_come_to(winner) and not self.dead_end(state)

    def _next(self, state: JournalState) -> Waypoint | Flip | None:
        winner = self._winner(state)
        if winner is None:
            return None
        if self._route is None:
            self._route = Route(self._changed(state, winner), winner, self._identify)
        found = self._route.next(self._walk(state), lambda config_id: self._loss(state, config_id))
        return self._born(found) if isinstance(found, Try) else found

    def _winner(self, state: JournalState) -> str | None:
        winner = state.searches.winners.get(self.search)
        return winner.config_id if winner else None

    def _walk(self, state: JournalState) -> Walk:
        return state.searches.walks.get(self.search, Walk())

    def _changed(self, state: JournalState, winner: str) -> Point:
        own = self._plan.own_values(self._arm)
        point = state.searches.candidates[self.search][winner].point
        values = {name: freeze(value) for name, value in point.items()}
        return {name: value for name, value in values.items() if identity(freeze(own[name])) != identity(value)}

    def _identify(self, point: Point) -> str:
        key = repr(sorted(point))
        if key not in self._ids:
            self._ids[key] = self._plan.identify(self._arm, self._plan.on_the_way(self._arm, point))
        return self._ids[key]

    def _loss(self, state: JournalState, config_id: str) -> float | None:
        info = self._plan.info
        sign = -1.0 if info.direction == "maximise" else 1.0
        losses = []
        for seed in info.seeds[:PATH_SEEDS]:
            replicate = state.replicates.get((config_id, seed))
            if replicate is not None and has_failed(replicate):
                return math.inf
            score = rung_scores(replicate, info).get(info.last_step) if replicate else None
            if score is None:
                return None
            losses.append(sign * score)
        return math.fsum(losses) / len(losses)

    def _planned(self, name: str, point: Point) -> PlannedArm:
        return self._plan.walk(self._arm, name, self._plan.on_the_way(self._arm, point))

    def _born(self, one: Try) -> Waypoint:
        short = [field.rpartition(".")[2] for field in one.point]
        fields = short if len(set(short)) == len(short) else list(one.point)
        name = "+".join([self._arm, *(fields or ["nothing"])])
        planned = self._planned(name, one.point)
        return Waypoint(
            arm=name,
            step=one.step,
            field=one.field,
            config_id=one.config_id,
            point=one.point,
            seeds=() if one.is_alone else self._plan.info.seeds[:PATH_SEEDS],
            parameters=planned.arm.changes,
            num_parameters=planned.num_parameters,
            predicted_memory_mib=round(planned.need_mib, 1),
            data_hash=planned.data_hash,
        )

    def plan(self, state: JournalState) -> list[Unit]:
        """Plan what the journal has of the path; return what is tried, one unit a seed."""
        units = []
        for one in self._walk(state).waypoints.values():
            point = {name: freeze(value) for name, value in one.point.items()}
            self._planned(one.arm, point)
            units += [Unit(one.config_id, seed, self._plan.info.last_step) for seed in one.seeds]
        return units
