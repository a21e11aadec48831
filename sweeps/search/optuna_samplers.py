"""Samplers of Optuna. The study is a projection: it is rebuilt in memory, and nothing depends on its past."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces.dimensions import Choice, Dimension, Integer, LogReal, Real, identity
from search_spaces.space import SearchSpace
from sweeps.search.samplers import Point, Tried, stream

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

MOST_TOLD = 100
"""The best and the newest so many are told: a proposal then takes milliseconds, however long the search is."""


@dataclass(frozen=True)
class OptunaSampler:
    """A sampler of Optuna.

    Seeded by the number of the proposal, it gives the same point after a restart. A failure is told as a violated
    constraint: told as failed, Optuna would ignore it and go on proposing what fails.
    """

    space: SearchSpace
    seed: int
    name: str
    make: Callable[[SearchSpace, int], BaseSampler]

    def propose(self, number: int, tried: Sequence[Tried]) -> Point | None:
        """Return a point; None where it is forbidden."""
        import optuna

        with _quiet():
            study = optuna.create_study(sampler=self.make(self.space, stream(self.seed, self.name, number)))
            study.add_trials([self._frozen(one) for one in _told(tried)])
            trial = study.ask()
            values: Point = {}
            for name, dimension in self.space.dimensions.items():
                # A field is asked for only where it has an effect; conditions refer to fields before it.
                if name in self.space.canonical({**values, name: dimension.at(0.0)}):
                    values[name] = _suggest(trial, name, dimension)
        return None if self.space.explain(values) else self.space.canonical(values)

    def _frozen(self, one: Tried) -> FrozenTrial:
        import optuna
        from optuna.trial import TrialState

        distributions = {name: _distribution(self.space[name]) for name in one.point}
        params = {name: _told_value(self.space[name], value) for name, value in one.point.items()}
        if one.loss is None:
            return optuna.create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        failed = math.isinf(one.loss)
        return optuna.create_trial(
            value=0.0 if failed else one.loss,
            params=params,
            distributions=distributions,
            constraints={"failed": 1.0 if failed else -1.0},
        )


def tpe(space: SearchSpace, seed: int) -> BaseSampler:
    """Return the tree-structured Parzen estimator; fields that have no effect everywhere are grouped."""
    from optuna.samplers import TPESampler

    if space.conditions:
        return TPESampler(seed=seed, n_startup_trials=1, multivariate=True, group=True)
    return TPESampler(seed=seed, n_startup_trials=1)


MODELS: Mapping[str, Callable[[SearchSpace, int], BaseSampler]] = {"tpe": tpe}


def _told(tried: Sequence[Tried]) -> Sequence[Tried]:
    if len(tried) <= 2 * MOST_TOLD:
        return tried
    old, new = tried[:-MOST_TOLD], tried[-MOST_TOLD:]
    best = sorted((one for one in old if one.loss is not None), key=lambda one: one.loss or 0.0)
    return [*best[:MOST_TOLD], *new]


def _distribution(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's distribution of a dimension; of choices it sees the index, which may be of any type."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension:
        case Real():
            return FloatDistribution(dimension.low, dimension.high)
        case LogReal():
            return FloatDistribution(dimension.low, dimension.high, log=True)
        case Integer():
            return IntDistribution(dimension.low, dimension.high)
    return CategoricalDistribution(range(dimension.num_values or 1))


def _suggest(trial: Trial, name: str, dimension: Dimension) -> Any:
    match dimension:
        case Real():
            return trial.suggest_float(name, dimension.low, dimension.high)
        case LogReal():
            return trial.suggest_float(name, dimension.low, dimension.high, log=True)
        case Integer():
            return trial.suggest_int(name, dimension.low, dimension.high)
    values = dimension.grid(2)
    return values[trial.suggest_categorical(name, range(len(values)))]


def _told_value(dimension: Dimension, value: Any) -> Any:
    if not isinstance(dimension, Choice):
        return value if isinstance(dimension, Real | LogReal | Integer) else 0
    return [identity(option) for option in dimension.options].index(identity(value))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's remarks while the block runs; that groups are an experimental feature is one of them."""
    import optuna
    from optuna.exceptions import ExperimentalWarning

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
