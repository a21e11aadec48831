"""The search of a resolved study: what varies in which arm, and which seeds are whose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from search_spaces.space import SearchSpace
from sweeps.studies.schema.search import ConfirmSpec, SchedulerSpec, SearchSpec


@dataclass(frozen=True)
class ArmSpace:
    """What varies in one arm."""

    arm: str
    space: SearchSpace
    own: dict[str, Any] | None
    """The arm's own settings as a point of the space; None if they are outside of it."""
    start_with: tuple[dict[str, Any], ...]
    """Points to try first."""


@dataclass(frozen=True)
class StudySearch:
    """The search of a study at one scale."""

    settings: SearchSpec
    scheduler: SchedulerSpec
    arms: tuple[ArmSpace, ...]
    seeds: tuple[int, ...]
    """Of the search: those of the study, then the next whole numbers."""
    confirm_seeds: tuple[int, ...]
    """Of winners and of arms that are not searched."""
    confirm: ConfirmSpec
    """How many of them are started, and for how many candidates."""
    path: str
    """The arm from whose own settings a path leads to its winner; empty: none."""
    where: Callable[..., str] = field(repr=False, compare=False)
    """Returns `file:line: key` of a key of these sections, for messages."""

    def space_of(self, arm: str) -> ArmSpace | None:
        """Return what varies in an arm; None if nothing does."""
        return next((one for one in self.arms if one.arm == arm), None)

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """The fresh seeds that are started whatever they show: all of them, or those of the first look."""
        looks = self.confirm.looks
        return self.confirm_seeds[: looks[0]] if looks else self.confirm_seeds

    def to_json(self) -> dict[str, Any]:
        """Return the search as it is written to the results folder."""
        return {
            "search": self.settings.model_dump(mode="json"),
            "scheduler": self.scheduler.model_dump(mode="json"),
            "seeds": list(self.seeds),
            "confirm_seeds": list(self.confirm_seeds),
            "looks": list(self.confirm.looks),
            "alphas": list(self.confirm.levels) if self.confirm.looks else [],
            "finalists": self.confirm.finalists,
            "path": self.path,
            "arms": {one.arm: list(one.space) for one in self.arms},
        }
