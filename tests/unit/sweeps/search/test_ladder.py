"""Who climbs: the better half of each rung, whatever the order in which scores come."""

from __future__ import annotations

import random

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.search.ladder import Ladder, Promotion


def scored(losses: dict[str, float | None], *, eta: float = 2, rungs: int = 3) -> Ladder:
    ladder = Ladder(rungs, eta)
    for name, loss in losses.items():
        ladder.enter(name)
        ladder.score(name, 0, loss)
    return ladder


def test_the_best_of_two_climbs_and_of_one_nobody() -> None:
    assert scored({"a": 1.0}).promotions() == []
    ladder = scored({"a": 1.0, "b": 0.5})
    assert ladder.promotions() == [Promotion("b", 1, 0.5, 1, 2)]
    ladder.enter("b", 1)
    assert ladder.promotions() == []


def test_higher_rungs_come_first() -> None:
    ladder = scored({name: float(i) for i, name in enumerate("abcdefgh")})
    for name in "ab":
        ladder.enter(name, 1)
        ladder.score(name, 1, float(name == "a"))
    assert [(one.config_id, one.rung) for one in ladder.promotions()] == [("b", 2), ("c", 1)]


def test_a_failure_ranks_worst_and_never_leads() -> None:
    ladder = scored({"a": None, "b": 3.0})
    assert [one.config_id for one in ladder.promotions()] == ["b"]
    ladder.enter("b", 1)
    ladder.score("b", 1, None)
    assert ladder.leader() is None and ladder.climb_on() is None
    assert ladder.standing("b", 0) == (1, 2)


def test_what_fails_after_a_score_neither_climbs_nor_leads() -> None:
    ladder = scored({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})
    ladder.fail("a")
    assert [one.config_id for one in ladder.promotions()] == ["b"]
    assert ladder.leader() == ("b", 0, 2.0) and ladder.deepest("a") == float("inf")
    assert ladder.standing("b", 0) == (2, 4), "it still counts among those that were compared"


def test_the_leader_climbs_on_when_nobody_follows() -> None:
    ladder = scored({"a": 1.0})
    assert ladder.climb_on() == Promotion("a", 1, 1.0, 1, 1)
    for rung in (1, 2):
        ladder.enter("a", rung)
        ladder.score("a", rung, 1.0)
    assert ladder.climb_on() is None and ladder.leader() == ("a", 2, 1.0)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=40, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_scores_does_not_matter(losses: list[float], shuffle: random.Random) -> None:
    named = {f"c{index}": loss for index, loss in enumerate(losses)}
    order = list(named)
    shuffle.shuffle(order)
    assert scored(named).promotions() == scored({name: named[name] for name in order}).promotions()


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_it_stops_whom_optuna_stops(eta: int) -> None:
    """The rule of Optuna's successive halving, for each arrival from the `eta`-th on: before, it cannot wait."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    draw, num_compared = random.Random(eta), 0
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=eta)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    ladder = Ladder(4, eta)
    for number in range(120):
        trial, name = study.ask(), f"c{number}"
        ladder.enter(name)
        for rung in range(3):
            loss = draw.random()
            trial.report(loss, step=eta**rung)
            ladder.score(name, rung, loss)
            rank, of = ladder.standing(name, rung)
            climbs = rank <= of // eta
            if of >= eta:
                num_compared += 1
                assert climbs == (not trial.should_prune()), (number, rung)
            else:
                climbs = not trial.should_prune()
            if not climbs:
                break
            ladder.enter(name, rung + 1)
        pruned = {"state": optuna.trial.TrialState.PRUNED} if not climbs else {"values": loss}
        study.tell(trial, **pruned)
    assert num_compared > 120
