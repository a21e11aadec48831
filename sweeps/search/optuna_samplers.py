"""Samplers of Optuna. The study is a projection: it is rebuilt in memory, and nothing depends on its past."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from search_spaces.space import SearchSpace
from sweeps.search.optuna_terms import distributions_of, holding, quiet, suggest, told
from sweeps.search.samplers import Point, Tried, stream

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

MOST_TOLD = 100
"""The best and the newest so many are told: a proposal then takes milliseconds, however long the search is."""


class OptunaSampler:
    """A sampler of Optuna.

    Seeded by the number of the proposal, it gives the same point after a restart. A failure is told as a violated
    constraint: told as failed, Optuna would ignore it and go on proposing what fails.

    Args:
        space: What varies.
        seed: Of the proposals.
        name: One of `MODELS`.
        num_objectives: More than one for `nsga2` only.
    """

    def __init__(self, space: SearchSpace, seed: int, name: str, num_objectives: int = 1) -> None:
        self.space, self.name, self._seed, self._num_objectives = space, name, seed, num_objectives
        self._kept: dict[Any, tuple[Tried, FrozenTrial]] = {}
        """What was told the last time, in Optuna's terms; it saves time and decides nothing."""

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return a point; None where it is forbidden."""
        import optuna

        with quiet():
            sampler = MODELS[self.name](self.space, stream(self._seed, self.name, number))
            known = tried if self._num_objectives > 1 else _best_and_newest(tried)
            study = optuna.create_study(
                sampler=sampler,
                storage=holding(self._trials(known)),
                directions=["minimize"] * self._num_objectives,
            )
            trial = study.ask()
            values: Point = {}
            for name, dimension in self.space.dimensions.items():
                # A field is asked for only where it has an effect; conditions refer to fields before it.
                if name in self.space.canonical({**values, name: dimension.at(0.0)}):
                    values[name] = suggest(trial, name, dimension)
        return None if self.space.explain(values) else self.space.canonical(values)

    def _trials(self, known: Sequence[Tried]) -> list[FrozenTrial]:
        # A model of the losses would be drawn to failures if they were told as less than the worst.
        scored = [_values(one) for one in known if one.loss is not None and math.isfinite(one.loss)]
        worst = tuple(map(max, zip(*scored, strict=True))) or (0.0,) * self._num_objectives
        keys = [(id(one), worst if one.loss == math.inf else None) for one in known]
        before, self._kept = self._kept, {}
        for key, one in zip(keys, known, strict=True):
            self._kept[key] = before.get(key) or (one, self._frozen(one, worst))
        return [self._kept[key][1] for key in keys]

    @cached_property
    def _distributions(self) -> dict[str, BaseDistribution]:
        return distributions_of(self.space)

    def _frozen(self, one: Tried, worst: tuple[float, ...]) -> FrozenTrial:
        import optuna
        from optuna.trial import TrialState

        distributions = {name: self._distributions[name] for name in one.point}
        params = told(self.space, one.point)
        if one.loss is None:
            return optuna.create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        failed = math.isinf(one.loss)
        return optuna.create_trial(
            values=worst if failed else _values(one),
            params=params,
            distributions=distributions,
            constraints={"failed": 1.0 if failed else -1.0},
            system_attrs=dict(OF_FIRST_GENERATION),
        )


def _tpe(space: SearchSpace, seed: int) -> BaseSampler:
    """Return the tree-structured Parzen estimator; fields that have no effect everywhere are grouped."""
    from optuna.samplers import TPESampler

    if space.conditions:
        return TPESampler(seed=seed, n_startup_trials=1, multivariate=True, group=True)
    return TPESampler(seed=seed, n_startup_trials=1)


def _gp(space: SearchSpace, seed: int) -> BaseSampler:
    """Return the Gaussian process; fields that have no effect everywhere are drawn at random."""
    from optuna.samplers import GPSampler, RandomSampler

    return GPSampler(
        seed=seed, independent_sampler=RandomSampler(seed), n_startup_trials=1, warn_independent_sampling=False
    )


def _nsga2(space: SearchSpace, seed: int) -> BaseSampler:
    """Return the genetic algorithm NSGA-II, whose parents are the elite of all candidates so far.

    All are told as the first generation: Optuna then selects the parents of the next one among all of them, at each
    proposal. Generations of its own would depend on the order in which candidates ended, and on what a study keeps.

    Source:
        Deb et al. (2002), IEEE Transactions on Evolutionary Computation 6:182-197.
    """
    from optuna.samplers import NSGAIISampler
    from optuna.samplers.nsgaii import BLXAlphaCrossover

    return NSGAIISampler(seed=seed, population_size=POPULATION, crossover=BLXAlphaCrossover())


POPULATION = 12
"""Parents of NSGA-II. Of 80 candidates over six ranges, with two bowls as objectives, 12 parents and BLX-alpha
dominated an area of 24.4 on average, 8 and 20 parents 24.3 and 23.2, uniform crossover 23.0, and chance 22.0."""
OF_FIRST_GENERATION = {"NSGAIISampler:generation": 0}
"""How Optuna notes the generation of a trial; other samplers ignore it."""

MODELS: Mapping[str, Callable[[SearchSpace, int], BaseSampler]] = {"tpe": _tpe, "gp": _gp, "nsga2": _nsga2}
"""By the name of the method."""


def _values(one: Tried) -> tuple[float, ...]:
    assert one.loss is not None
    return one.objectives or (one.loss,)


def _best_and_newest(tried: Sequence[Tried]) -> Sequence[Tried]:
    if len(tried) <= 2 * MOST_TOLD:
        return tried
    old, new = tried[:-MOST_TOLD], tried[-MOST_TOLD:]
    best = sorted((one for one in old if one.loss is not None), key=lambda one: one.loss or 0.0)
    return [*best[:MOST_TOLD], *new]
