"""The state of searches according to the journal: who was proposed, who climbed, who was selected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.records.description import ArmInfo, SweepInfo

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
}
"""Kinds of events about a search, with the keys that each must have.

`proposed`: a configuration is born. `promoted`: it trains on, or with more seeds, up to a rung. `selected`: the
search of an arm has ended with a winner, or with null if everything failed.
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
    sweep_id: str
    """The sweep whose driver proposed it."""
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


@dataclass
class Searches:
    """All searches of a results folder; each is known by its id, and another space or metric is another search."""

    candidates: dict[str, dict[str, Candidate]] = field(default_factory=dict)
    """Search → config_id → candidate, in the order of their numbers."""
    winners: dict[str, Winner] = field(default_factory=dict)
    """By search."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """Every event, in order, for who follows a search decision by decision."""

    def apply(self, event: dict[str, Any]) -> None:
        """Add one event."""
        search, config_id = event["search"], event["config_id"]
        own = self.candidates.setdefault(search, {})
        match event["event"]:
            case "proposed":
                fields = {name: event[name] for name in SEARCH_EVENTS["proposed"]}
                own.setdefault(
                    config_id, Candidate(**fields, sweep_id=event["sweep_id"], rung=event.get("rung", 0))
                )
            case "promoted":
                own[config_id] = replace(own[config_id], rung=event["rung"])
            case _:
                self.winners[search] = Winner(
                    config_id=config_id, loss=event["loss"], seeds=event["seeds"], reason=event["reason"]
                )
        self.events.append(event)

    def of(self, search: str) -> list[Candidate]:
        """Return the candidates of a search, by number."""
        return list(self.candidates.get(search, {}).values())

    def joined_to(self, sweep: SweepInfo) -> SweepInfo:
        """Return a description with the candidates, and with winners in place of searched arms."""
        if sweep.search is None:
            return sweep
        return replace(
            sweep,
            arms=tuple(self._winner_of(arm, sweep) for arm in sweep.arms),
            candidates=tuple(self._described(sweep)),
        )

    def _described(self, sweep: SweepInfo) -> Iterator[ArmInfo]:
        assert sweep.search is not None
        for searched in sweep.search.arms:
            for one in self.of(searched.search):
                seeds = sweep.search.seeds[: sweep.search.rungs[one.rung].seeds]
                note = f"candidate {one.number} of {one.arm}, proposed by {one.by}"
                yield _unit(one, one.name, seeds, role="candidate", note=note)

    def _winner_of(self, arm: ArmInfo, sweep: SweepInfo) -> ArmInfo:
        assert sweep.search is not None
        search = next((one.search for one in sweep.search.arms if one.arm == arm.arm), None)
        winner = self.winners.get(search or "")
        if search is None or winner is None or winner.config_id is None:
            return arm
        chosen = self.candidates[search][winner.config_id]
        said = f"the best of {len(self.candidates[search])} configurations, selected on other seeds"
        note = f"{arm.note}; {said}" if arm.note else said
        return _unit(chosen, arm.arm, sweep.search.confirm_seeds, role=arm.role, note=note)


def _unit(one: Candidate, name: str, seeds: tuple[int, ...], *, role: Any, note: str) -> ArmInfo:
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
