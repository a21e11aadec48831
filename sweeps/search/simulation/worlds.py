"""Worlds of a simulation: what a configuration would score, without training it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from search_spaces.dimensions import Choice, Dimension, Integer, LogReal, Real, identity
from search_spaces.space import SearchSpace
from sweeps.search.samplers import Point, stream
from sweeps.search.sobol import sobol_fractions

SEED_SDS = 0.4
"""Spread of the logarithm of the standard deviations over seeds: configurations are not equally noisy."""
PAIRING = 0.2
"""Share of a seed's effect that all configurations have in common."""
RANKS = ((0.1, 0.55), (0.3, 0.80), (0.5, 0.96), (0.9, 0.99), (1.0, 1.0))
"""Correlation of scores at a share of the steps with those at the last step, as in a sweep of this repository."""


class World(Protocol):
    """What configurations score; lower is better."""

    def true_mean(self, point: Point) -> float:
        """Return the mean over all seeds at the last step."""

    def score(self, point: Point, seed: int, share: float) -> float | None:
        """Return the score of one seed after a share of the steps; None if it fails before."""


@dataclass(frozen=True)
class NullWorld:
    """No configuration is better than another."""

    seed: int

    def true_mean(self, point: Point) -> float:
        """Return 0."""
        return 0.0

    def score(self, point: Point, seed: int, share: float) -> float | None:
        """Return noise of standard deviation 1, all of it in the seed."""
        return _normal(self.seed, point, seed)


class QuadraticWorld:
    """A bowl with one interaction and offsets of choices, whose values have standard deviation 1 over the space.

    Args:
        space: What varies.
        seed: Of everything that is random in this world.
        noise: Standard deviation over seeds, in standard deviations over configurations.
    """

    def __init__(self, space: SearchSpace, seed: int, *, noise: float = 0.5) -> None:
        draw = random.Random(stream(seed, "world"))
        self._space, self._seed, self._noise = space, seed, noise
        self._numbers = {
            name: (draw.uniform(0.15, 0.85), math.exp(draw.gauss(0.0, 0.7)))
            for name, dimension in space.dimensions.items()
            if isinstance(dimension, Real | LogReal | Integer)
        }
        self._offsets = {
            name: {identity(option): draw.gauss(0.0, 0.4) for option in dimension.options}
            for name, dimension in space.dimensions.items()
            if isinstance(dimension, Choice)
        }
        names = list(self._numbers)
        self._pair = tuple(draw.sample(names, 2)) if len(names) > 1 else None
        self._scale, self._centre = 1.0, 0.0
        sample = [self._raw(point) for number in range(256) if (point := self._sobol(number)) is not None]
        self._centre = math.fsum(sample) / len(sample)
        self._scale = math.sqrt(math.fsum((x - self._centre) ** 2 for x in sample) / len(sample)) or 1.0

    def _sobol(self, number: int) -> Point | None:
        return self._space.at(sobol_fractions(number, len(self._space), self._seed))

    def _raw(self, point: Point) -> float:
        away = {
            name: place(self._space[name], point[name]) - centre
            for name, (centre, _) in self._numbers.items()
            if name in point
        }
        value = math.fsum(weight * away[name] ** 2 for name, (_, weight) in self._numbers.items() if name in away)
        if self._pair is not None and set(self._pair) <= away.keys():
            value += 0.8 * away[self._pair[0]] * away[self._pair[1]]
        return value + math.fsum(
            offsets[identity(point[name])] for name, offsets in self._offsets.items() if name in point
        )

    def true_mean(self, point: Point) -> float:
        """Return the mean over all seeds at the last step."""
        return (self._raw(point) - self._centre) / self._scale

    def score(self, point: Point, seed: int, share: float) -> float | None:
        """Return the score of one seed after a share of the steps."""
        own = self._noise * math.exp(SEED_SDS * _normal(self._seed, point, "noise"))
        common = math.sqrt(PAIRING) * random.Random(stream(self._seed, "seed", seed)).gauss()
        rest = math.sqrt(1 - PAIRING) * _normal(self._seed, point, seed)
        early = math.sqrt(1 / correlation_at(share) ** 2 - 1) * _normal(self._seed, point, f"after {share:.6f}")
        return self.true_mean(point) + own * (common + rest) + early


@dataclass(frozen=True)
class FaultyWorld:
    """Another world in which some configurations fail, whatever the seed."""

    world: World
    seed: int
    share_failing: float = 0.2

    def true_mean(self, point: Point) -> float:
        """Return the mean over all seeds; infinite for a configuration that fails."""
        return math.inf if self._fails(point) else self.world.true_mean(point)

    def score(self, point: Point, seed: int, share: float) -> float | None:
        """Return the score of one seed after a share of the steps; None if the configuration fails."""
        return None if self._fails(point) else self.world.score(point, seed, share)

    def _fails(self, point: Point) -> bool:
        return random.Random(stream(self.seed, "fails", _name(point))).random() < self.share_failing


def correlation_at(share: float) -> float:
    """Return the correlation of scores after a share of the steps with the last ones."""
    below = (0.0, 0.3)
    for above in RANKS:
        if share <= above[0]:
            part = (share - below[0]) / (above[0] - below[0])
            return below[1] + part * (above[1] - below[1])
        below = above
    return 1.0


def place(dimension: Dimension, value: float) -> float:
    """Return where a value lies within a range, from 0 to 1."""
    match dimension:
        case LogReal():
            low, high = math.log(dimension.low), math.log(dimension.high)
            return (math.log(value) - low) / (high - low)
        case Real() | Integer():
            return (value - dimension.low) / (dimension.high - dimension.low)
    raise TypeError(f"only ranges have places, not {dimension!r}")


def _name(point: Point) -> str:
    return json.dumps(point, sort_keys=True)


def _normal(seed: int, point: Point, what: object) -> float:
    return random.Random(stream(seed, _name(point), what)).gauss()


WORLDS: Mapping[str, Callable[[SearchSpace, int], World]] = {
    "null": lambda space, seed: NullWorld(seed),
    "quadratic": QuadraticWorld,
    "faults": lambda space, seed: FaultyWorld(QuadraticWorld(space, seed), seed),
}
"""By name; each makes a world of a seed."""
