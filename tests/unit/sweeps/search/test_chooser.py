"""The search of one arm: its decisions are a function of the facts, and no configuration is proposed twice."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.space import InvalidPointError
from sweeps.search.chooser import ArmSearch, Chooser, Decision, Proposal, Selected, Trace, Unit
from sweeps.search.ladder import Promotion
from sweeps.search.methods import make_sampler
from sweeps.search.samplers import Tried
from sweeps.search.simulation.virtual import name_of
from tests.support.sweeps.searches import SMALL, SPACE, facts, loss, search


def end(unit: Unit, traces: dict[tuple[str, int], Trace], score: float | None) -> Trace:
    trace = traces.setdefault((unit.config_id, unit.seed), Trace())
    if score is None:
        trace.failed = True
    else:
        trace.losses[unit.steps] = score
    return trace


def play(of: ArmSearch, shuffle: random.Random, slots: int = 3) -> tuple[Chooser, list[Decision]]:
    """Run a search whose replicates end in any order; at each step a chooser that begins anew decides the same."""
    chooser, decisions = Chooser(of), []
    traces: dict[tuple[str, int], Trace] = {}
    running: list[Unit] = []
    while True:
        again = facts(decisions, traces, of)
        decision = chooser.next() if len(running) < slots else None
        if len(running) < slots:
            assert again.next() == decision
        if decision is not None:
            decisions.append(decision)
            running += chooser.apply(decision)
            continue
        if not running:
            return chooser, decisions
        unit = running.pop(shuffle.randrange(len(running)))
        trace = end(unit, traces, loss(unit.config_id, unit.seed, unit.steps))
        chooser.tell(unit.config_id, unit.seed, trace)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["sobol", "random"]))
def test_a_search_cut_anywhere_decides_as_if_it_were_not(shuffle: random.Random, method: str) -> None:
    chooser, decisions = play(search(method, replicates=8, seeds=4), shuffle)
    proposed = [one.config_id for one in decisions if isinstance(one, Proposal)]
    assert len(proposed) == len(set(proposed)) == len(chooser.proposals)
    assert [one.number for one in decisions if isinstance(one, Proposal)] == list(range(len(proposed)))
    assert isinstance(decisions[-1], Selected) and chooser.spent <= 8
    assert all(SPACE.contains(one.point) for one in chooser.proposals.values())


def test_tpe_decides_the_same_after_a_restart() -> None:
    chooser, decisions = play(search("tpe", configurations=18, seeds=2), random.Random(0))
    assert {one.by for one in chooser.proposals.values()} >= {"tpe", "sobol"}
    assert [one.by for one in decisions if isinstance(one, Proposal)][14] == "sobol", (
        "every fifth is one of Sobol's"
    )


def test_hyperband_begins_at_every_rung_within_the_budget() -> None:
    of = search(seeds=1, starts=(0, 1, 2, 0), replicates=12)
    chooser, decisions = play(of, random.Random(0))
    begun = [one.rung for one in decisions if isinstance(one, Proposal)]
    assert begun[:8] == [0, 1, 2, 0] * 2
    assert any(isinstance(one, Promotion) for one in decisions)
    reached = [of.rungs[chooser.ladder.rung_of(one)].steps / 400 for one in chooser.proposals]
    assert chooser.spent == pytest.approx(sum(reached)) and 10 < chooser.spent <= 12


def test_what_is_enqueued_is_next_and_only_once() -> None:
    chooser, mine = Chooser(search(seeds=1)), SPACE.sample(random.Random(5))
    first = chooser.next()
    assert isinstance(first, Proposal)
    chooser.apply(first)
    chooser.want([first.point, mine])
    second = chooser.next()
    assert isinstance(second, Proposal) and (second.point, second.by, second.number) == (mine, "enqueue", 1)
    chooser.apply(second)
    third = chooser.next()
    assert isinstance(third, Proposal) and third.by == "sobol"


def test_what_earlier_searches_found_is_told_and_counts_nowhere() -> None:
    draw = random.Random(1)
    told = tuple(Tried(SPACE.sample(draw), draw.gauss()) for _ in range(20))
    sampler = make_sampler("tpe", SPACE, seed=7, levels=3, num_told=len(told))
    of = search(seeds=1, configurations=6, told=told, sampler=sampler)
    chooser, _ = play(of, random.Random(0))
    assert [one.by for one in chooser.proposals.values()] == ["tpe"] * 4 + ["sobol", "tpe"]
    other, _ = play(replace(of, told=told[::-1][:10]), random.Random(0))
    assert next(iter(other.proposals)) != next(iter(chooser.proposals))


def test_a_small_space_is_tried_whole_and_no_point_twice() -> None:
    chooser, decisions = play(search(space=SMALL, replicates=100, seeds=2), random.Random(0))
    assert len(chooser.proposals) == 12
    assert isinstance(decisions[-1], Selected) and decisions[-1].reason == "every configuration was tried"


def test_what_computes_the_same_is_proposed_once() -> None:
    def identify(point: dict[str, object]) -> str:
        return str(point["a"])

    chooser, _ = play(search(space=SMALL, identify=identify, seeds=2), random.Random(0))
    assert sorted(chooser.proposals) == ["1", "2", "3"]


def test_points_that_are_no_configurations_are_passed_over() -> None:
    def identify(point: dict[str, object]) -> str:
        if point["a"] == 2:
            raise InvalidPointError("a must be odd")
        return name_of(point)

    chooser, _ = play(search(space=SMALL, identify=identify, replicates=100, seeds=2), random.Random(0))
    assert {one.point["a"] for one in chooser.proposals.values()} == {1, 3}
    assert len(chooser.proposals) == 8


@pytest.mark.parametrize(("method", "count"), [("grid", 12), ("list", 2)])
def test_lists_come_in_their_order_after_the_points_to_start_with(method: str, count: int) -> None:
    first = ({"a": 2, "b": 3}, {"a": 3, "b": 1})
    of = replace(search(method, SMALL, replicates=100, seeds=2), first_points=first)
    chooser, _ = play(of, random.Random(0))
    assert [one.point for one in chooser.proposals.values()][:2] == list(first)
    assert [one.by for one in chooser.proposals.values()][:3] == ["the study", "the study", "grid"][:count]
    expected = {"grid": 11, "list": 2}  # a grid of 3 levels has 1, 2 or 3, and 4, of four values
    assert len(chooser.proposals) == expected[method] or method == "grid"


def test_what_cannot_be_paid_is_not_begun() -> None:
    chooser, decisions = play(search(replicates=9.1, seeds=8), random.Random(1))
    assert isinstance(decisions[-1], Selected) and decisions[-1].reason == "the budget is spent"
    assert chooser.spent <= 9.1


def test_a_failing_search_has_no_winner() -> None:
    chooser = Chooser(search(configurations=4, seeds=2))
    traces: dict[tuple[str, int], Trace] = {}
    while (decision := chooser.next()) is not None:
        for unit in chooser.apply(decision):
            chooser.tell(unit.config_id, unit.seed, end(unit, traces, None))
    assert chooser.selected is not None and chooser.selected.config_id is None


def test_a_configuration_that_fails_with_another_seed_does_not_win() -> None:
    of = search(space=SMALL, configurations=2, seeds=2)
    chooser, traces = Chooser(of), {}
    best = None
    while (decision := chooser.next()) is not None:
        for unit in chooser.apply(decision):
            best = best or unit.config_id
            score = None if unit.seed == 1 and unit.config_id == best else float(unit.config_id != best)
            chooser.tell(unit.config_id, unit.seed, end(unit, traces, score))
    assert chooser.selected is not None and chooser.selected.config_id not in (None, best)


def test_scores_of_earlier_sweeps_count_at_once() -> None:
    of = search(space=SMALL, configurations=1, seeds=2)
    chooser = Chooser(of)
    proposal = chooser.next()
    assert isinstance(proposal, Proposal)
    chooser.apply(proposal)
    chooser.tell(proposal.config_id, 0, Trace({100: 1.0, 200: 1.0, 400: 1.0}))
    climb = chooser.next()
    assert isinstance(climb, Promotion) and chooser.apply(climb) == [] and chooser.open_units() == []
