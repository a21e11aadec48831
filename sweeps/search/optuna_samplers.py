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
    """

    def __init__(self, space: SearchSpace, seed: int, name: str) -> None:
        self.space, self.name, self._seed = space, name, seed
        self._kept: dict[Any, tuple[Tried, FrozenTrial]] = {}
        """What was told the last time, in Optuna's terms; it saves time and decides nothing."""

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return a point; None where it is forbidden."""
        import optuna

        with quiet():
            sampler = MODELS[self.name](self.space, stream(self._seed, self.name, number))
            study = optuna.create_study(sampler=sampler, storage=holding(self._trials(_best_and_newest(tried))))
            trial = study.ask()
            values: Point = {}
            for name, dimension in self.space.dimensions.items():
                # A field is asked for only where it has an effect; conditions refer to fields before it.
                if name in self.space.canonical({**values, name: dimension.at(0.0)}):
                    values[name] = suggest(trial, name, dimension)
        return None if self.space.explain(values) else self.space.canonical(values)

    def _trials(self, known: Sequence[Tried]) -> list[FrozenTrial]:
        # A model of the losses would be drawn to failures if they were told as less than the worst.
        worst = max((one.loss for one in known if one.loss is not None and math.isfinite(one.loss)), default=0.0)
        keys = [(id(one), worst if one.loss == math.inf else None) for one in known]
        before, self._kept = self._kept, {}
        for key, one in zip(keys, known, strict=True):
            self._kept[key] = before.get(key) or (one, self._frozen(one, worst))
        return [self._kept[key][1] for key in keys]

    @cached_property
    def _distributions(self) -> dict[str, BaseDistribution]:
        return distributions_of(self.space)

    def _frozen(self, one: Tried, worst: float) -> FrozenTrial:
        import optuna
        from optuna.trial import TrialState

        distributions = {name: self._distributions[name] for name in one.point}
        params = told(self.space, one.point)
        if one.loss is None:
            return optuna.create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        failed = math.isinf(one.loss)
        return optuna.create_trial(
            value=worst if failed else one.loss,
            params=params,
            distributions=distributions,
            constraints={"failed": 1.0 if failed else -1.0},
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


MODELS: Mapping[str, Callable[[SearchSpace, int], BaseSampler]] = {"tpe": _tpe, "gp": _gp}
"""By the name of the method."""


def _best_and_newest(tried: Sequence[Tried]) -> Sequence[Tried]:
    if len(tried) <= 2 * MOST_TOLD:
        return tried
    old, new = tried[:-MOST_TOLD], tried[-MOST_TOLD:]
    best = sorted((one for one in old if one.loss is not None), key=lambda one: one.loss or 0.0)
    return [*best[:MOST_TOLD], *new]
