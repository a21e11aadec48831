"""A population: always as many members, children of the better ones, and schedules that anybody can train again."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from search_spaces.dimensions import Choice, LogReal
from search_spaces.space import SearchSpace
from sweeps.plan.search.rungs import RungError, expected_population, population_rungs
from sweeps.search.chooser import ArmSearch, Chooser, Decision, Proposal, Selected, Trace, Unit
from sweeps.search.ladder import Promotion
from sweeps.search.methods import make_sampler
from sweeps.search.population import CHANGES, Population, chooser_of, settings_now
from sweeps.search.samplers import Point
from tests.support.sweeps.searches import search

RATE, DECAY = "optimizer.learning_rate", "optimizer.weight_decay"
CHANGING = SearchSpace({RATE: LogReal(1e-4, 1e-1), DECAY: Choice((0.01, 0.1)), "architecture.size": Choice((1, 2))})
RUNGS = population_rungs(steps=400, report_every=50, every=0.25)
Loss = Callable[[Point, int], float | None]


def population(members: int = 8, space: SearchSpace = CHANGING, eta: int = 4) -> ArmSearch:
    return search(space=space, rungs=RUNGS, seeds=1, eta=eta, replicates=members, population=members)


def wants(steps: int) -> float:
    """Return the logarithm of the best learning rate, which falls from rung to rung."""
    return -2.0 - 0.3 * (steps / 100 - 1)


def drifting(point: Point, steps: int) -> float:
    """Return the sum of what each rung's learning rate has cost: a fixed one cannot be right at all of them."""
    changes = {change["from_step"]: change for change in point.get(CHANGES, ())}
    rate, cost = point[RATE], 0.0
    for at in (100, 200, 300, 400):
        rate = changes.get(at - 100, {}).get("learning_rate", rate)
        cost += (math.log10(rate) - wants(at)) ** 2
        if at == steps:
            return cost
    raise AssertionError(steps)


def play(of: ArmSearch, loss: Loss, shuffle: random.Random) -> tuple[Chooser, list[Decision]]:
    """Run it with two slots; at each decision a chooser that begins anew decides the same."""
    chooser, decisions, traces, running = chooser_of(of), list[Decision](), dict[Any, Trace](), list[Unit]()
    while True:
        again = chooser_of(of)
        for one in decisions:
            again.apply(one)
        for (config_id, seed), trace in traces.items():
            again.tell(config_id, seed, trace)
        assert again.next() == chooser.next()
        decision = chooser.next()
        if decision is not None:
            decisions.append(decision)
            running += chooser.apply(decision)
        elif running:
            unit = running.pop(shuffle.randrange(len(running)))
            trace = traces.setdefault(unit.key, Trace())
            score = loss(chooser.proposals[unit.config_id].point, unit.steps)
            if score is None:
                trace.failed = True
            else:
                trace.losses[unit.steps] = score
            chooser.tell(*unit.key, trace)
        else:
            return chooser, decisions


def test_there_are_as_many_members_at_every_rung_and_they_cost_as_many_replicates() -> None:
    chooser, decisions = play(population(), drifting, random.Random(0))
    assert isinstance(chooser, Population)
    assert chooser.spent == pytest.approx(8)
    for rung in range(4):
        born = [one for one in decisions if isinstance(one, Proposal) and one.rung == rung]
        climbed = [one for one in decisions if isinstance(one, Promotion) and one.rung == rung]
        assert (len(born), len(climbed)) == ((8, 0) if rung == 0 else (2, 6))
    assert isinstance(decisions[-1], Selected) and decisions[-1].reason == "the population has trained to the end"
    expected = expected_population(RUNGS, 8, 4)
    assert (expected.scored, expected.begun, expected.replicates) == ((8, 8, 8, 8), (8, 2, 2, 2), 8.0)


def test_a_child_is_its_parent_with_a_change_and_comes_before_its_parent_trains_on() -> None:
    chooser, decisions = play(population(), drifting, random.Random(1))
    children = [one for one in decisions if isinstance(one, Proposal) and one.rung]
    by_number = {one.number: one for one in chooser.proposals.values()}
    for child in children:
        of, step = by_number[int(child.by.split()[1].rstrip(","))], RUNGS[child.rung - 1].steps
        assert child.by.endswith(f"changed at step {step}")
        *before, change = child.point[CHANGES]
        assert tuple(before) == of.point.get(CHANGES, ()) and change["from_step"] == step
        assert {k: v for k, v in child.point.items() if k != CHANGES} == {
            k: v for k, v in of.point.items() if k != CHANGES
        }, "what is not the optimiser's stays"
        assert settings_now(child.point) != settings_now(of.point)
        assert CHANGING.contains(settings_now(child.point)), "it stays in the space"
        climbs = [one for one in decisions if isinstance(one, Promotion) and one.config_id == of.config_id]
        later = [one for one in climbs if one.rung == child.rung]
        assert all(decisions.index(child) < decisions.index(one) for one in later)
        ranked = sorted(
            (chooser.ladder.loss(p.config_id, child.rung - 1) or 0.0, p.number)
            for p in by_number.values()
            if p.rung < child.rung and chooser.ladder.loss(p.config_id, child.rung - 1) is not None
        )
        assert of.number in [number for _, number in ranked[:2]], "one of the best quarter"


def test_a_schedule_is_found_where_no_fixed_learning_rate_is_right() -> None:
    """Over 20 populations a schedule beats the best fixed rate, which is the mean of the best ones."""
    fixed = sum((-2.45 - wants(at)) ** 2 for at in (100, 200, 300, 400))
    won = 0
    for seed in range(20):
        sampler = make_sampler("sobol", CHANGING, seed=seed, levels=3)
        chooser, _ = play_quickly(replace(population(32), seed=seed, sampler=sampler), drifting)
        assert chooser.selected is not None and chooser.selected.loss is not None
        won += chooser.selected.loss < fixed
    assert won >= 18


def play_quickly(of: ArmSearch, loss: Loss) -> tuple[Chooser, list[Decision]]:
    """Run it to its end, one unit after the other."""
    chooser, decisions, traces = chooser_of(of), list[Decision](), dict[Any, Trace]()
    while not chooser.is_over:
        decision = chooser.next()
        assert decision is not None
        decisions.append(decision)
        for unit in chooser.apply(decision):
            trace = traces.setdefault(unit.key, Trace())
            score = loss(chooser.proposals[unit.config_id].point, unit.steps)
            assert score is not None
            trace.losses[unit.steps] = score
            chooser.tell(*unit.key, trace)
    return chooser, decisions


def test_all_that_failed_are_replaced_and_if_all_failed_there_is_no_winner() -> None:
    def diverges(point: Point, steps: int) -> float | None:
        return None if point[RATE] > 3e-3 and steps == 100 else drifting(point, steps)

    chooser, decisions = play(population(), diverges, random.Random(2))
    failed = [one for one in chooser.proposals.values() if one.rung == 0 and one.point[RATE] > 3e-3]
    assert len(failed) > 2
    born = [one for one in decisions if isinstance(one, Proposal) and one.rung == 1]
    assert len(born) == len(failed) and len({one.config_id for one in born}) == len(born)
    assert chooser.selected is not None and chooser.selected.config_id not in {one.config_id for one in failed}

    chooser, decisions = play(population(), lambda *_: None, random.Random(3))
    assert chooser.selected is not None and chooser.selected.config_id is None
    assert len(decisions) == 9


def test_a_space_with_too_few_points_makes_a_smaller_population() -> None:
    small = SearchSpace({RATE: Choice((1e-3, 1e-2))})
    chooser, _ = play(population(8, small, eta=2), drifting, random.Random(4))
    assert chooser.selected is not None and chooser.selected.config_id is not None
    assert sum(one.rung == 0 for one in chooser.proposals.values()) == 2


def test_points_survive_the_journal() -> None:
    chooser, _ = play(population(), drifting, random.Random(5))
    point = next(one.point for one in chooser.proposals.values() if CHANGES in one.point)
    assert json.loads(json.dumps(point))[CHANGES] == list(point[CHANGES])


@pytest.mark.parametrize(
    ("every", "steps", "rungs"), [(0.25, 400, [100, 200, 300, 400]), (0.4, 400, [150, 300, 400])]
)
def test_rungs_are_evenly_spaced_at_reports(every: float, steps: int, rungs: list[int]) -> None:
    found = population_rungs(steps=steps, report_every=50, every=every)
    assert [(rung.steps, rung.seeds) for rung in found] == [(at, 1) for at in rungs]


@pytest.mark.parametrize("every", [0.05, 1.0])
def test_rungs_without_a_report_before_the_end_are_refused(every: float) -> None:
    with pytest.raises(RungError, match=r"scheduler\.first"):
        population_rungs(steps=400, report_every=50, every=every)
