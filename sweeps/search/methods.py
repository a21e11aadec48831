"""The methods of a search by name."""

from __future__ import annotations

from search_spaces.space import SearchSpace
from sweeps.search.optuna_samplers import OptunaSampler
from sweeps.search.samplers import (
    GridSampler,
    ListSampler,
    RandomSampler,
    Sampler,
    SobolSampler,
    WithSobol,
)


def make_sampler(
    method: str, space: SearchSpace, *, seed: int, levels: int, num_told: int = 0, num_objectives: int = 1
) -> Sampler:
    """Return the sampler of a method.

    Args:
        method: One of `sweeps.studies.schema.search.Method`.
        space: What varies.
        seed: Of the proposals.
        levels: Of a grid: values on each range.
        num_objectives: More than one of `nsga2` only.
        num_told: Points of earlier searches that a model is told: so many fewer come from Sobol first.
    """
    sobol = SobolSampler(space, seed)
    match method:
        case "sobol":
            return sobol
        case "random":
            return RandomSampler(space, seed)
        case "grid":
            return GridSampler(space, levels)
        case "list":
            return ListSampler()
    return WithSobol(OptunaSampler(space, seed, method, num_objectives), sobol, num_told)
