"""What a search is expected to add to a plan: how many replicates start, and how long they take."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

from analysis.records.journal import JournalState
from analysis.records.searching import SearchInfo
from sweeps.plan.plan import Plan
from sweeps.plan.search.confirmation import Confirmation
from sweeps.plan.search.rungs import Expected, expected_climbs, expected_population
from sweeps.plan.units import PlannedArm


@dataclass(frozen=True)
class SearchForecast:
    """The part of a search that is still to run, or all of it before it has begun."""

    num_starts: int
    """Starts of replicates; one that is pruned and continues starts twice."""
    replicates: float
    """The same training, in replicates trained to the last step."""
    seconds: float
    """Forecast wall time."""
    core_seconds: float
    """Busy cores times seconds."""


def expected(info: SearchInfo) -> Expected:
    """Return how many configurations of each arm are expected at each rung."""
    if info.population:
        return expected_population(info.rungs, info.population, info.eta)
    return expected_climbs(
        info.rungs,
        eta=info.eta,
        replicates=info.replicates,
        configurations=info.configurations,
        starts=info.starts,
    )


def to_json(plan: Plan, state: JournalState) -> dict[str, Any] | None:
    """Return the search as `plan --json` prints it; None without one."""
    if plan.search is None:
        return None
    info, left = plan.search.info, forecast_search(plan, state)
    counts = expected(info).scored
    return {
        "method": info.method,
        "metric": info.metric,
        "arms": [
            {
                "arm": one.arm,
                "fields": list(one.fields),
                "num_points": plan.search.spaces[one.arm].space.num_points,
                "is_over": one.search in state.searches.winners,
            }
            for one in info.arms
        ],
        "rungs": [
            {"steps": rung.steps, "seeds": rung.seeds, "expected": count}
            for rung, count in zip(info.rungs, counts, strict=True)
        ],
        "replicates": info.replicates,
        "configurations": info.configurations,
        "seeds": list(info.seeds),
        "confirm_seeds": list(info.confirm_seeds),
        "looks": [{"seeds": n, "alpha": alpha} for n, alpha in zip(info.looks, info.alphas, strict=True)],
        "finalists": max(one.finalists for one in info.arms),
        "left": asdict(left),
    }


def forecast_search(plan: Plan, state: JournalState) -> SearchForecast:
    """Return what the searches that are not over add, and the confirmation of their winners, by all looks at most.

    Args:
        plan: The plan of a study with a search.
        state: Its journal.
    """
    assert plan.search is not None
    info, searches = plan.search.info, state.searches
    each, _ = plan.seconds_each(state)
    confirmation, going = Confirmation.of(info, plan.arms, plan.search.ablation), expected(info)
    starts, costs = 0, list[tuple[PlannedArm, float]]()
    for one in info.arms:
        planned = plan.search.arms[one.arm]
        whole = 0.0
        winner = searches.winners.get(one.search)
        if winner is None:
            done = sum(info.rungs[candidate.rung].seeds for candidate in searches.of(one.search))
            starts += max(1, _num_starts(info, going) - done)
            whole += going.replicates
        left = confirmation.num_left(one, state)
        starts += left
        costs.append((planned, whole + left))
    for planned in {planned.config_id: planned for planned in plan.arms}.values():
        if planned.config_id in confirmation.declared:
            left = confirmation.num_left_of(planned.config_id, state)
            starts += left
            costs.append((planned, left))
    if plan.search.ablation is not None:
        left = confirmation.num_left_of_ablation(state)
        starts += left
        costs.append((plan.search.arms[plan.search.ablation.around], left))
    if info.path:
        left = confirmation.num_left_of_path(state)
        starts += left
        costs.append((plan.search.arms[info.path], left))
    cores = plan.request.cpu * plan.request.workers
    return SearchForecast(
        num_starts=starts,
        replicates=sum(whole for _, whole in costs),
        seconds=sum(whole * each[one.config_id] / plan.size_class(one).concurrency for one, whole in costs),
        core_seconds=sum(whole * each[one.config_id] * cores for one, whole in costs),
    )


def _num_starts(info: SearchInfo, going: Expected) -> int:
    """Return how many trials a search takes."""
    seeds = [rung.seeds for rung in info.rungs]
    # A rung of more steps lets the first seed go on; one of more seeds adds these.
    new = [0, *(max(1, after - before) for before, after in itertools.pairwise(seeds))]
    climbed = [n - own for n, own in zip(going.scored, going.begun, strict=True)]
    return sum(
        own * all_seeds + n * more for own, all_seeds, n, more in zip(going.begun, seeds, climbed, new, strict=True)
    )
