"""Fields, values and trials in Optuna's terms."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from search_spaces.dimensions import Choice, Dimension, Integer, LogReal, Real, identity
from search_spaces.space import SearchSpace
from sweeps.search.samplers import Point

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import InMemoryStorage
    from optuna.trial import FrozenTrial, Trial, TrialState


def distributions_of(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the distribution of every field; of choices Optuna sees the index, which may be of any type."""
    return {name: _distribution(dimension) for name, dimension in space.dimensions.items()}


def told(space: SearchSpace, point: Point) -> dict[str, Any]:
    """Return a point's values as Optuna is told them."""
    return {name: _told_value(space[name], value) for name, value in point.items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension:
        case Real():
            return FloatDistribution(dimension.low, dimension.high)
        case LogReal():
            return FloatDistribution(dimension.low, dimension.high, log=True)
        case Integer():
            return IntDistribution(dimension.low, dimension.high)
    return CategoricalDistribution(range(dimension.num_values or 1))


def suggest(trial: Trial, name: str, dimension: Dimension) -> Any:
    """Return the value that a trial proposes for a field."""
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


def holding(trials: list[FrozenTrial]) -> InMemoryStorage:
    """Return a storage that holds trials as they are: a study that is told them copies each of them deeply."""
    from optuna.storages import InMemoryStorage

    class Holding(InMemoryStorage):
        def get_all_trials(
            self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
        ) -> list[FrozenTrial]:
            asked = super().get_all_trials(study_id, deepcopy, states)
            return [*(trial for trial in trials if states is None or trial.state in states), *asked]

    for number, trial in enumerate(trials, start=1):  # the one that is asked for has number 0
        trial.number = number
    return Holding()


@contextmanager
def quiet() -> Iterator[None]:
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
