"""Searches for tests: a space, virtual sweeps, and a search that is cut and begun again."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from search_spaces.dimensions import Choice, Integer, LogReal, Real
from search_spaces.space import Condition, Forbidden, SearchSpace
from sweeps.plan.search.rungs import ladder_rungs
from sweeps.search.chooser import ArmSearch, Chooser, Decision, Trace
from sweeps.search.methods import make_sampler
from sweeps.search.simulation.virtual import name_of

SPACE = SearchSpace(
    {
        "optimizer.learning_rate": LogReal(1e-4, 1e-1),
        "architecture.coupling": Real(0.0, 4.0),
        "architecture.sign": Choice(("attractive", "repulsive")),
        "architecture.num_steps": Integer(1, 20),
    },
    (Condition("architecture.sign", "architecture.coupling > 1"),),
    (Forbidden("architecture.num_steps > 15 and architecture.coupling > 3", "leaves the unit step"),),
)
"""A range on a logarithm, a range, a choice that depends on it, whole numbers, and what is forbidden."""

SMALL = SearchSpace({"a": Choice((1, 2, 3)), "b": Integer(1, 4)})
"""Twelve points."""


def search(method: str = "sobol", space: SearchSpace = SPACE, *, seeds: int = 8, **changed: Any) -> ArmSearch:
    """Return a search of 32 replicates over rungs at 1/4, 1/2 and all of 400 steps, then of more seeds."""
    rungs = ladder_rungs(steps=400, report_every=100, first=0.25, eta=2, seeds=seeds)
    made = ArmSearch(
        space=space,
        sampler=make_sampler(method, space, seed=7, levels=3),
        seed=7,
        rungs=rungs,
        eta=2,
        seeds=tuple(range(seeds)),
        replicates=32,
        configurations=None,
        first_points=(),
        identify=name_of,
    )
    return replace(made, **changed)


def loss(config_id: str, seed: int, steps: int) -> float:
    """Return a made-up score."""
    return random.Random(f"{config_id} {seed} {steps}").gauss()


def facts(decisions: list[Decision], traces: dict[tuple[str, int], Trace], of: ArmSearch) -> Chooser:
    """Return a chooser that knows what another one knew: its decisions, and the scores by then."""
    again = Chooser(of)
    for decision in decisions:
        again.apply(decision)
    for key, trace in traces.items():
        again.tell(*key, trace)
    return again
