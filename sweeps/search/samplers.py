"""Samplers: which point of a space is tried next. Each is a function of what was tried, and keeps no state."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from search_spaces.space import SearchSpace
from sweeps.search.sobol import sobol_fractions

Point = dict[str, Any]
"""Dotted fields and their values, in the order of a space, without those that have no effect."""

MAX_GRID_POINTS = 10_000
EVERY_FIFTH = 5
"""Of a model's proposals every fifth comes from Sobol: a model alone may lock into a wrong category."""


@dataclass(frozen=True)
class Tried:
    """A configuration that was proposed before."""

    point: Point
    loss: float | None
    """Its score at its highest rung, lower is better; infinite if it failed, None if it has none yet."""
    objectives: tuple[float, ...] = ()
    """Of a search with several: all of them, the loss first; empty without a score."""


class Sampler(Protocol):
    """Proposes points of a space."""

    @property
    def name(self) -> str:
        """The method's name."""

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return the point of proposal `number`, which counts from 0; None if the sampler has no more points.

        Equal arguments give equal points, in any process.
        """


def stream(seed: int, *names: object) -> int:
    """Return the seed of a random stream of its own: a hash of a seed and of names."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


MAX_FORBIDDEN = 1000
"""Sobol points that may be forbidden in a row."""


class SobolSampler:
    """Points that fill the space evenly: those of a Sobol sequence that are not forbidden.

    Args:
        space: What varies.
        seed: Of the scrambling.
    """

    name = "sobol"

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space, self._seed = space, seed
        self._allowed: list[Point] = []
        """The first points that are allowed: they do not depend on what was asked for."""
        self._looked_at = 0

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return allowed point `number`; None if nearly everything is forbidden."""
        while len(self._allowed) <= number:
            found = next(filter(None, (self._look() for _ in range(MAX_FORBIDDEN))), None)
            if found is None:
                return None
            self._allowed.append(found)
        return self._allowed[number]

    def _look(self) -> Point | None:
        self._looked_at += 1
        return self.space.at(sobol_fractions(self._looked_at - 1, len(self.space), self._seed))


@dataclass(frozen=True)
class RandomSampler:
    """Independent uniform draws."""

    space: SearchSpace
    seed: int
    name: str = "random"

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return draw `number`, from a stream of its own."""
        return self.space.sample(random.Random(stream(self.seed, number)))


@dataclass(frozen=True)
class GridSampler:
    """Every combination, the last field varying fastest."""

    space: SearchSpace
    levels: int
    """Values on each range."""
    name: str = "grid"

    @cached_property
    def points(self) -> list[Point]:
        """The combinations, at most `MAX_GRID_POINTS` of them and one more."""
        return list(itertools.islice(self.space.grid(self.levels), MAX_GRID_POINTS + 1))

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return combination `number`; None after the last."""
        return self.points[number] if number < len(self.points) else None


@dataclass(frozen=True)
class ListSampler:
    """Nothing but the points that a search starts with."""

    name: str = "list"

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return None."""
        return None


@dataclass(frozen=True)
class WithSobol:
    """A sampler that learns from scores, with Sobol points first and at every fifth place."""

    model: Sampler
    sobol: SobolSampler
    num_told: int = 0
    """Points of earlier searches that the model knows."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def num_first(self) -> int:
        """How many Sobol points come before the model is asked."""
        return max(0, 2 * len(self.sobol.space) + 4 - self.num_told)

    def is_sobol(self, number: int) -> bool:
        """Return whether proposal `number` is a Sobol point."""
        return number < self.num_first or number % EVERY_FIFTH == EVERY_FIFTH - 1

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return a Sobol point or the model's."""
        chosen = self.sobol if self.is_sobol(number) else self.model
        return chosen.propose(number, tried)


ENDS = ("grid", "list")
"""Samplers that come to an end by themselves: nothing is proposed in place of a point that was tried before."""


def all_points(space: SearchSpace) -> Iterator[Point]:
    """Yield every point of a space without real ranges."""
    levels = max(2, *(dimension.num_values or 0 for dimension in space.dimensions.values()))
    return space.grid(levels)
