"""The state of searches according to the journal: who was proposed, who climbed, who was selected."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.records.ablation import AblationInfo
from analysis.records.description import ArmInfo, ContrastInfo, SweepInfo
from analysis.records.path import PATH_EVENTS, Walk, Waypoint
from analysis.records.searching import SearchedArm, SearchInfo
from analysis.statistics.looks import LEVEL

SEARCH_EVENTS: dict[str, set[str]] = {
    "proposed": {
        "search",
        "arm",
        "number",
        "config_id",
        "by",
        "point",
        "parameters",
        "num_parameters",
        "predicted_memory_mib",
        "data_hash",
    },
    "promoted": {"search", "config_id", "rung", "loss", "rank", "of"},
    "selected": {"search", "config_id", "loss", "seeds", "reason"},
    "looked": {"search", "seeds", "is_settled", "p"},
    "ablated": {
        "search",
        "arm",
        "config_id",
        "settings",
        "parameters",
        "num_parameters",
        "predicted_memory_mib",
        "data_hash",
    },
    **PATH_EVENTS,
}
"""Kinds of events about a search, with the keys that each must have.

`proposed`: a configuration is born. `promoted`: it trains on, or with more seeds, up to a rung. `selected`: the
search of an arm has ended with a winner, or with null if everything failed; `runners_up` are the next best.
`looked`: winners were compared after so many fresh seeds; `search` is the id of the confirmation. `ablated`: an arm
of an ablation is born, as the winner with other `settings`. For a path see `PATH_EVENTS`.
"""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A configuration that a search has proposed."""

    search: str
    """Id of the search; see `SearchedArm.search`."""
    arm: str
    """The searched arm."""
    number: int
    """Counts the arm's proposals from 0."""
    config_id: str
    by: str
    """What proposed it."""
    point: dict[str, Any]
    """The fields that vary, with its values."""
    parameters: dict[str, Any]
    """All fields in which it differs from the study's base."""
    num_parameters: int
    predicted_memory_mib: float
    data_hash: str
    rung: int = 0
    """The rung toward which it trains, or where it is scored."""

    @property
    def name(self) -> str:
        """Its name in tables, as `kuramoto#7`."""
        return f"{self.arm}#{self.number}"


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The end of the search of one arm."""

    config_id: str | None
    """None if every configuration failed."""
    loss: float | None
    """Its mean over the search's seeds, lower is better: selected, so too good."""
    seeds: int
    """Number of those seeds."""
    reason: str
    """Why the search ended."""
    runners_up: tuple[str, ...] | None = None
    """config_ids of the next best, the better first; None in a journal from before they were noted."""

    def finalists(self, count: int) -> tuple[str, ...]:
        """Return the winner and the next best, at most so many."""
        return () if self.config_id is None else (self.config_id, *(self.runners_up or ())[: count - 1])


@dataclass(frozen=True, kw_only=True)
class Look:
    """A comparison of the winners after some of the fresh seeds."""

    seeds: int
    """How many."""
    is_settled: bool
    """Whether every winner can be told from the baseline, so that no more seeds are needed."""
    p: dict[str, float | None]
    """{arm: p of its comparison with the baseline}, adjusted; settled below 0.05."""


@dataclass(frozen=True, kw_only=True)
class Ablated:
    """An arm of an ablation around the winner of a search."""

    arm: str
    config_id: str
    settings: dict[str, Any]
    """Dotted fields that differ from the winner's."""
    parameters: dict[str, Any]
    """All fields in which it differs from the study's base."""
    num_parameters: int
    predicted_memory_mib: float
    data_hash: str


@dataclass
class Searches:
    """All searches of a results folder; each is known by its id, and another space or metric is another search."""

    candidates: dict[str, dict[str, Candidate]] = field(default_factory=dict)
    """Search → config_id → candidate, in the order of their numbers."""
    winners: dict[str, Winner] = field(default_factory=dict)
    """By search."""
    looks: dict[str, list[Look]] = field(default_factory=dict)
    """By `SearchInfo.confirmation`, in their order."""
    ablated: dict[str, dict[str, Ablated]] = field(default_factory=dict)
    """Search → arm → what it is; with other settings, an arm is born again."""
    walks: dict[str, Walk] = field(default_factory=dict)
    """By search: the path to its winner."""
    born_in: dict[str, str] = field(default_factory=dict)
    """config_id of whatever was born during a sweep → that sweep."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """Every event, in order, for who follows a search decision by decision."""

    def apply(self, event: dict[str, Any]) -> None:
        """Add one event."""
        self.events.append(event)
        if "data_hash" in event:
            self.born_in.setdefault(event["config_id"], event["sweep_id"])
        search = event["search"]
        if event["event"] == "looked":
            look = Look(seeds=event["seeds"], is_settled=event["is_settled"], p=event["p"])
            self.looks.setdefault(search, []).append(look)
            return
        if event["event"] == "ablated":
            fields = {name: event[name] for name in SEARCH_EVENTS["ablated"] if name != "search"}
            self.ablated.setdefault(search, {})[event["arm"]] = Ablated(**fields)
            return
        if event["event"] in PATH_EVENTS:
            self.walks.setdefault(search, Walk()).apply(event)
            return
        own, config_id = self.candidates.setdefault(search, {}), event["config_id"]
        match event["event"]:
            case "proposed":
                fields = {name: event[name] for name in SEARCH_EVENTS["proposed"]}
                own.setdefault(config_id, Candidate(**fields, rung=event.get("rung", 0)))
            case "promoted":
                own[config_id] = replace(own[config_id], rung=event["rung"])
            case _:
                runners_up = event.get("runners_up")
                self.winners[search] = Winner(
                    config_id=config_id,
                    loss=event["loss"],
                    seeds=event["seeds"],
                    reason=event["reason"],
                    runners_up=None if runners_up is None else tuple(runners_up),
                )

    def of(self, search: str) -> list[Candidate]:
        """Return the candidates of a search, by number."""
        return list(self.candidates.get(search, {}).values())

    def arms_without(self, ablation: AblationInfo | None, info: SearchInfo) -> dict[str, Ablated]:
        """Return the arms of an ablation around a winner that are born, by name."""
        if ablation is None or ablation.tuning != "winner":
            return {}
        search = next((one.search for one in info.arms if one.arm == ablation.around), "")
        born = self.ablated.get(search, {})
        return {name: one for name, one in born.items() if ablation.settings.get(name) == one.settings}

    def path_of(self, info: SearchInfo) -> list[Waypoint] | None:
        """Return the whole path to a winner, without the winner; None while it is walked, or if there is none."""
        for searched in info.arms:
            walk, winner = self.walks.get(searched.search), self.winners.get(searched.search)
            if searched.arm == info.path and walk and winner and walk.has_come_to(winner.config_id):
                return walk.steps[:-1]
        return None

    def fresh_seeds(self, info: SearchInfo) -> tuple[int, ...]:
        """Return the fresh seeds with which arms are compared so far: all of them, or those of the present look."""
        if not info.looks:
            return info.confirm_seeds
        return info.confirm_seeds[: info.looks[self._present_look(info)]]

    def share(self, info: SearchInfo) -> float:
        """Return the share of the level that the present look may spend; 1 without looks."""
        return info.alphas[self._present_look(info)] / LEVEL if info.looks else 1.0

    def is_settled(self, info: SearchInfo) -> bool:
        """Return whether no look is left, or none is needed; True without looks."""
        taken = self.looks.get(info.confirmation, [])
        return len(taken) == len(info.looks) or (bool(taken) and taken[-1].is_settled)

    def _present_look(self, info: SearchInfo) -> int:
        taken = len(self.looks.get(info.confirmation, []))
        return taken - 1 if taken and self.is_settled(info) else taken

    def joined_to(self, sweep: SweepInfo) -> SweepInfo:
        """Return a description with the candidates, and with winners and other finalists for searched arms."""
        if sweep.search is None:
            return sweep
        return replace(
            sweep,
            arms=tuple(one for arm in sweep.arms for one in self._compared(arm, sweep, sweep.search)),
            contrasts=(*sweep.contrasts, *self._steps(sweep.search)),
            candidates=tuple(self._described(sweep.search)),
        )

    def _described(self, info: SearchInfo) -> Iterator[ArmInfo]:
        for searched in info.arms:
            for one in self.of(searched.search):
                seeds = info.seeds[: info.rungs[one.rung].seeds]
                note = f"candidate {one.number} of {one.arm}, proposed by {one.by}"
                yield _unit(one, one.name, seeds, role="candidate", note=note)
            walk = self.walks.get(searched.search, Walk()) if searched.arm == info.path else Walk()
            for tried in walk.waypoints.values():
                if tried.seeds:
                    note = f"tried as step {tried.step} of the path to the winner of {searched.arm}"
                    yield _unit(tried, tried.arm, tried.seeds, role="candidate", note=note)

    def _steps(self, info: SearchInfo) -> Iterator[ContrastInfo]:
        """Yield the steps of the path as comparisons on fresh seeds."""
        path = self.path_of(info)
        names = [*(one.arm for one in path or ()), info.path]
        for before, after in itertools.pairwise(names):
            yield ContrastInfo(
                arm=after, against=before, meaning=f"a step of the path to the winner of {info.path}"
            )

    def _compared(self, arm: ArmInfo, sweep: SweepInfo, info: SearchInfo) -> Iterator[ArmInfo]:
        """Yield the arms that are compared on fresh seeds in the place of one that is declared."""
        born = self.arms_without(sweep.ablation, info).get(arm.arm)
        if born is not None:
            yield _unit(born, arm.arm, self.fresh_seeds(info), role=arm.role, note=arm.note)
            return
        searched = next((one for one in info.arms if one.arm == arm.arm), None)
        seeds = self.fresh_seeds(info)
        if searched is None:
            yield replace(arm, seeds=seeds) if info.looks else arm
            return
        winner = self.winners.get(searched.search)
        if winner is None or winner.config_id is None:
            yield arm
            return
        yield from self._finalists(arm, searched, winner, info)

    def _finalists(
        self, arm: ArmInfo, searched: SearchedArm, winner: Winner, info: SearchInfo
    ) -> Iterator[ArmInfo]:
        seeds = self.fresh_seeds(info)
        known = self.candidates[searched.search]
        first, *others = winner.finalists(searched.finalists)
        said = f"the best of {len(known)} configurations, selected on other seeds"
        yield _unit(known[first], arm.arm, seeds, role=arm.role, note=f"{arm.note}; {said}" if arm.note else said)
        for rank, each in enumerate(others, start=2):
            note = f"finalist {rank} of the search of {arm.arm}"
            yield _unit(known[each], known[each].name, seeds, role="treatment", note=note)
        if arm.arm == info.path:
            for one in self.path_of(info) or ():
                note = f"step {one.step} of the path to the winner of {arm.arm}"
                yield _unit(one, one.arm, seeds, role="treatment", note=note)


def _unit(
    one: Candidate | Ablated | Waypoint, name: str, seeds: tuple[int, ...], *, role: Any, note: str
) -> ArmInfo:
    return ArmInfo(
        arm=name,
        config_id=one.config_id,
        parameters=one.parameters,
        num_parameters=one.num_parameters,
        seeds=seeds,
        role=role,
        note=note,
        data_hash=one.data_hash,
        predicted_memory_mib=one.predicted_memory_mib,
    )
