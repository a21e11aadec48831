"""The description of a search, as the first line of a journal has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

MAX_FINALISTS = 10


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A step of the ladder that configurations climb: how long they train, and with how many seeds."""

    steps: int
    """Optimiser steps."""
    seeds: int
    """Number of seeds: the first ones of the search."""


NUM_PARAMETERS = "num_parameters"
"""The objective that is known of a configuration without training."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One of several things that a search makes good at once."""

    name: str
    """A validation metric, or `num_parameters`."""
    direction: Literal["minimise", "maximise"]


@dataclass(frozen=True, kw_only=True)
class SearchedArm:
    """An arm whose settings are searched for."""

    arm: str
    search: str
    """Id of its search: equal for equal spaces, rungs, metrics, seeds and settings that stay fixed."""
    fields: tuple[str, ...]
    """Dotted fields that vary."""
    finalists: int = 1
    """Candidates that are compared on fresh seeds: the winner, and the next best."""


@dataclass(frozen=True, kw_only=True)
class SearchInfo:
    """How a study searches for the settings of some of its arms."""

    method: str
    metric: str
    """Validation metric by which configurations are chosen, scored at the last step."""
    subset_metric: str
    """The same on the subset that is scored at each report: what rungs below the last step compare."""
    direction: Literal["minimise", "maximise"]
    arms: tuple[SearchedArm, ...]
    rungs: tuple[Rung, ...]
    eta: float
    """One in so many configurations climbs to the next rung."""
    seeds: tuple[int, ...]
    """Seeds of the search; no number of these is reported as a result."""
    confirm_seeds: tuple[int, ...]
    """Fresh seeds, with which the winners and all other arms are compared."""
    replicates: float
    """Budget of each arm, in replicates trained to the last step."""
    configurations: int | None = None
    """Most configurations of each arm; None: as many as the budget allows."""
    starts: tuple[int, ...] = (0,)
    """The rungs at which configurations begin, in turn; those of HyperBand differ."""
    population: int = 0
    """Members of a population that trains in step: at each rung one in `eta` is replaced by a child of the best as
    many. 0: configurations climb by themselves."""
    objectives: tuple[Objective, ...] = ()
    """Two or three, the first being `metric`; empty: only that."""
    looks: tuple[int, ...] = ()
    """Numbers of fresh seeds after each of which winners are compared; more start only if that settles nothing.
    Empty: all fresh seeds at once."""
    alphas: tuple[float, ...] = ()
    """Two-sided level of each look."""
    path: str = ""
    """The arm from whose own settings a path leads to its winner, one field at a time; empty: none."""

    @property
    def confirmation(self) -> str:
        """Id of the confirmation of all winners by looks: with other searches or other looks it begins anew."""
        looks = ", ".join(f"{n} at {alpha:g}" for n, alpha in zip(self.looks, self.alphas, strict=True))
        return f"confirmation of {' '.join(one.search for one in self.arms)} by {looks}"

    @property
    def last_step(self) -> int:
        """Optimiser steps of a whole replicate."""
        return self.rungs[-1].steps

    @classmethod
    def from_mapping(cls, given: dict[str, Any]) -> SearchInfo:
        """Read what `dataclasses.asdict` wrote and JSON kept.

        Raises:
            KeyError, TypeError: If a key is missing or unknown.
        """
        nested = {
            "arms": tuple(SearchedArm(**{**arm, "fields": tuple(arm["fields"])}) for arm in given["arms"]),
            "rungs": tuple(Rung(**rung) for rung in given["rungs"]),
            "seeds": tuple(given["seeds"]),
            "confirm_seeds": tuple(given["confirm_seeds"]),
            "starts": tuple(given.get("starts", (0,))),
            "objectives": tuple(Objective(**one) for one in given.get("objectives", ())),
            "looks": tuple(given.get("looks", ())),
            "alphas": tuple(given.get("alphas", ())),
        }
        return cls(**{**given, **nested})
