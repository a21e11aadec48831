"""A path in the journal: from an arm's own settings to those that its search found, one field at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PATH_SEEDS = 2
"""Seeds, of the search, with which the fields that may come next are tried."""

PATH_EVENTS: dict[str, set[str]] = {
    "stepped": {
        "search",
        "arm",
        "step",
        "field",
        "config_id",
        "point",
        "seeds",
        "parameters",
        "num_parameters",
        "predicted_memory_mib",
        "data_hash",
    },
    "flipped": {"search", "step", "field", "config_id", "loss"},
}
"""Kinds of events about a path, with the keys that each must have.

`stepped`: a configuration that may be the next on the path is born, and is tried with `seeds`. `flipped`: it is the
next, since none was better.
"""


@dataclass(frozen=True, kw_only=True)
class Waypoint:
    """A configuration that is, or might have been, on the path."""

    arm: str
    """Its name in tables, as `kuramoto+coupling+dt`: the fields that have the winner's values."""
    step: int
    """How many those are; 0: the arm's own settings."""
    field: str
    """The last of them; empty at step 0."""
    config_id: str
    point: dict[str, Any]
    """Those fields, with their values."""
    seeds: tuple[int, ...]
    """Of the search, with which it is tried; none where there is nothing to choose from."""
    parameters: dict[str, Any]
    """All fields in which it differs from the study's base."""
    num_parameters: int
    predicted_memory_mib: float
    data_hash: str


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A step of the path: the field that gets the winner's value next."""

    step: int
    field: str
    config_id: str
    loss: float | None
    """Mean over the seeds that chose it, lower is better; None where there was nothing to choose from."""


@dataclass
class Walk:
    """The path of one search, as far as it is walked."""

    waypoints: dict[tuple[int, str], Waypoint] = field(default_factory=dict)
    """By step and field."""
    flips: list[Flip] = field(default_factory=list)

    def apply(self, event: dict[str, Any]) -> None:
        """Add one event."""
        known = {name: event[name] for name in PATH_EVENTS[event["event"]] if name != "search"}
        if event["event"] == "stepped":
            one = Waypoint(**{**known, "seeds": tuple(event["seeds"])})
            self.waypoints.setdefault((one.step, one.field), one)
        elif event["step"] == len(self.flips) + 1:
            self.flips.append(Flip(**known))

    @property
    def steps(self) -> list[Waypoint]:
        """The path: the arm's own settings, then what each flip has led to."""
        begin = self.waypoints.get((0, ""))
        return [] if begin is None else [begin, *(self.waypoints[one.step, one.field] for one in self.flips)]

    def tried(self, step: int) -> list[Waypoint]:
        """Return what may be, or might have been, the next step of this number."""
        return [one for one in self.waypoints.values() if one.step == step]

    def has_come_to(self, winner: str | None) -> bool:
        """Return whether it ends at a configuration."""
        return bool(self.steps) and self.steps[-1].config_id == winner
