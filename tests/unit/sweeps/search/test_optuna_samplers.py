"""Optuna's proposals: inside the space, equal after a restart, and away from what fails."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.dimensions import Choice, Real
from search_spaces.space import SearchSpace
from sweeps.search.methods import make_sampler
from sweeps.search.optuna_samplers import MOST_TOLD, OptunaSampler
from sweeps.search.samplers import Point, Sampler, Tried
from tests.support.sweeps.searches import SPACE


def tried(count: int, seed: int = 0) -> list[Tried]:
    draw = random.Random(seed)
    points = [SPACE.sample(draw) for _ in range(count)]
    losses = [draw.choice([None, math.inf, draw.gauss()]) for _ in points]
    return [Tried(point, loss) for point, loss in zip(points, losses, strict=True)]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 30))
def test_proposals_are_points_and_equal_for_equal_histories(seed: int, count: int) -> None:
    first, second = (OptunaSampler(SPACE, seed, "tpe").propose(count, tried(count, seed)) for _ in range(2))
    assert first == second
    assert first is None or SPACE.contains(first)


@pytest.mark.parametrize("method", ["tpe", pytest.param("gp", marks=pytest.mark.slow)])
def test_what_a_sampler_was_told_before_changes_nothing(method: str) -> None:
    """It keeps what it was told in Optuna's terms; scores that came since, and the worst one, are told anew."""
    history = tried(8)
    long_used, fresh = (OptunaSampler(SPACE, 5, method) for _ in range(2))
    for number in (4, 6):
        long_used.propose(number, history[:number])
    history[3] = Tried(history[3].point, 50.0)
    assert long_used.propose(8, history) == fresh.propose(8, history)


def test_another_number_gives_another_point() -> None:
    sampler = OptunaSampler(SPACE, 0, "tpe")
    found = [sampler.propose(number, tried(10)) for number in range(10, 20)]
    assert len({str(point) for point in found}) >= 8


def test_choices_of_any_type_come_back_as_they_are() -> None:
    space = SearchSpace({"layers": Choice(((4, 7), "all", None, True, 1))})
    points = [Tried({"layers": option}, float(place)) for place, option in enumerate(space["layers"].grid(2))]
    found = OptunaSampler(space, 0, "tpe").propose(5, points)
    assert found is not None and space.contains(found)


@pytest.mark.parametrize(
    ("method", "most_failing", "last"), [("tpe", 20, 60), pytest.param("gp", 8, 40, marks=pytest.mark.slow)]
)
def test_it_learns_and_stays_away_from_what_fails(method: str, most_failing: int, last: int) -> None:
    """The best values are at the edge of a half where everything fails."""
    space = SearchSpace({"x": Real(0.0, 1.0)})
    sampler, known = OptunaSampler(space, 3, method), []
    draw = random.Random(0)
    for number in range(last):
        x = draw.random() if number < 10 else (sampler.propose(number, known) or {"x": draw.random()})["x"]
        known.append(Tried({"x": x}, math.inf if x > 0.5 else 0.5 - x))
    late = [one.point["x"] for one in known[-30:]]
    assert sum(x > 0.5 for x in late) <= most_failing
    assert sorted(abs(x - 0.5) for x in late)[15] < 0.15


def test_of_a_long_search_the_best_and_the_newest_are_told() -> None:
    long = [Tried({**SPACE.sample(random.Random(n))}, float(n % 7)) for n in range(5 * MOST_TOLD)]
    sampler = OptunaSampler(SPACE, 0, "tpe")
    assert sampler.propose(len(long), long) is not None


def volume(values: list[tuple[float, float]]) -> float:
    """Return the area that a front dominates, up to (6, 6)."""
    area, edge = 0.0, 6.0
    for first, second in sorted(values):
        if first < 6 and second < edge:
            area, edge = area + (6 - first) * (edge - second), second
    return area


def test_nsga2_finds_a_wider_front_than_chance() -> None:
    """Two bowls of six fields around different centres: what lies between them is the front."""
    space = SearchSpace({f"x{place}": Real(0.0, 1.0) for place in range(6)})

    def score(point: Point) -> tuple[float, float]:
        x = list(point.values())
        return sum((each - 0.25) ** 2 for each in x) * 4, sum((each - 0.75) ** 2 for each in x) * 4

    def found(sampler: Sampler) -> float:
        known: list[Tried] = []
        for number in range(80):
            point = sampler.propose(number, known)
            assert point is not None
            known.append(Tried(point, score(point)[0], score(point)))
        return volume([(first, second) for _, (first, second) in ((one, score(one.point)) for one in known)])

    by_model = [found(make_sampler("nsga2", space, seed=seed, levels=2, num_objectives=2)) for seed in range(4)]
    by_chance = [found(make_sampler("random", space, seed=seed, levels=2)) for seed in range(4)]
    assert sum(by_model) / 4 > sum(by_chance) / 4 + 1.5


def test_nsga2_is_told_failures_and_candidates_without_a_score() -> None:
    known = [
        Tried(one.point, one.loss, () if one.loss in {None, math.inf} else (one.loss, 1.0)) for one in tried(40)
    ]
    first, second = (OptunaSampler(SPACE, 5, "nsga2", 2).propose(40, known) for _ in range(2))
    assert first == second
