"""From the plan of a search to what decides in it: the method's sampler, the points to begin with, the rungs."""

from __future__ import annotations

from functools import partial

from analysis.records.searching import SearchedArm
from search_spaces.space import SearchSpace
from sweeps.plan.candidates import SearchPlan
from sweeps.search.chooser import ArmSearch
from sweeps.search.optuna_samplers import MODELS, OptunaSampler
from sweeps.search.samplers import (
    GridSampler,
    ListSampler,
    Point,
    RandomSampler,
    Sampler,
    SobolSampler,
    WithSobol,
    stream,
)


def make_sampler(method: str, space: SearchSpace, *, seed: int, levels: int) -> Sampler:
    """Return the sampler of a method.

    Args:
        method: One of `search_schema.Method`.
        space: What varies.
        seed: Of the proposals.
        levels: Of a grid: values on each range.
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
    return WithSobol(OptunaSampler(space, seed, method, MODELS[method]), sobol)


def arm_search(plan: SearchPlan, searched: SearchedArm) -> ArmSearch:
    """Return what is fixed of the search of one arm."""
    one, settings, info = plan.spaces[searched.arm], plan.settings, plan.info
    own: tuple[Point, ...] = () if one.own is None else (one.own,)
    seed = stream(settings.seed, searched.arm)
    return ArmSearch(
        space=one.space,
        sampler=make_sampler(info.method, one.space, seed=seed, levels=settings.levels),
        sobol=SobolSampler(one.space, seed),
        rungs=info.rungs,
        eta=info.eta,
        seeds=info.seeds,
        replicates=info.replicates,
        configurations=info.configurations,
        first_points=(*own, *one.start_with),
        identify=partial(plan.identify, searched.arm),
    )
