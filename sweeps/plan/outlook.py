"""What a search is expected to add to a plan: how many replicates start, and how long they take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from analysis.records.journal import JournalState
from analysis.records.searching import SearchInfo
from sweeps.plan.plan import Plan
from sweeps.plan.rungs import expected_climbs, total_cost


@dataclass(frozen=True)
class Outlook:
    """The part of a search that is still to run, or all of it before it has begun."""

    num_starts: int
    """Starts of replicates; one that is pruned and continues starts twice."""
    replicates: float
    """The same training, in replicates trained to the last step."""
    seconds: float
    """Forecast wall time."""
    core_seconds: float
    """Busy cores times seconds."""


def expected(info: SearchInfo) -> tuple[int, ...]:
    """Return how many configurations of each arm are expected to be scored at each rung."""
    return expected_climbs(info.rungs, eta=info.eta, replicates=info.replicates, configurations=info.configurations)


def to_json(plan: Plan, state: JournalState) -> dict[str, Any] | None:
    """Return the search as `plan --json` prints it; None without one."""
    if plan.search is None:
        return None
    info, left = plan.search.info, outlook(plan, state)
    counts = expected(info)
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
        "left": asdict(left),
    }


def outlook(plan: Plan, state: JournalState) -> Outlook:
    """Return what the searches that are not over add, and the confirmation of their winners.

    Args:
        plan: The plan of a study with a search.
        state: Its journal.
    """
    assert plan.search is not None
    info, searches = plan.search.info, state.searches
    each, _ = plan.seconds_each(state)
    starts, replicates, seconds, core_seconds = 0, 0.0, 0.0, 0.0
    counts = expected(info)
    for one in info.arms:
        planned = plan.search.arms[one.arm]
        whole = 0.0
        winner = searches.winners.get(one.search)
        if winner is None:
            done = sum(info.rungs[candidate.rung].seeds for candidate in searches.of(one.search))
            starts += max(1, _num_starts(info, counts) - done)
            whole += total_cost(info.rungs, list(counts))
        chosen = None if winner is None else winner.config_id
        if winner is None or chosen is not None:
            left = [seed for seed in info.confirm_seeds if chosen is None or state.is_pending((chosen, seed))]
            starts += len(left)
            whole += len(left)
        replicates += whole
        core_seconds += whole * each[planned.config_id] * plan.request.cpu * plan.request.workers
        seconds += whole * each[planned.config_id] / plan.size_class(planned).concurrency
    return Outlook(starts, replicates, seconds, core_seconds)


def _num_starts(info: SearchInfo, counts: tuple[int, ...]) -> int:
    """Return how many trials so many configurations at each rung take."""
    new = [rung.seeds for rung in info.rungs]
    for index in range(1, len(new)):
        # A rung of more steps lets the first seed go on; one of more seeds adds these.
        new[index] = max(1, info.rungs[index].seeds - info.rungs[index - 1].seeds)
    return sum(n * starts for n, starts in zip(counts, new, strict=True))
