"""Samplers without a model: their points depend on the number alone."""

from __future__ import annotations

import pytest

from search_spaces.dimensions import Real
from search_spaces.space import Forbidden, SearchSpace
from sweeps.search.methods import make_sampler
from sweeps.search.samplers import SobolSampler, all_points
from sweeps.search.sobol import sobol_fractions
from tests.support.sweeps.searches import SMALL, SPACE


def test_sobol_points_do_not_depend_on_how_many_are_asked_for() -> None:
    far = sobol_fractions(1000, 3, 5)
    near = [sobol_fractions(number, 3, 5) for number in range(8)]
    assert sobol_fractions(1000, 3, 5) == far and [sobol_fractions(n, 3, 5) for n in range(8)] == near
    assert sobol_fractions(3, 3, 6) != near[3]


def test_sobol_points_fill_the_space() -> None:
    halves = [tuple(x < 0.5 for x in sobol_fractions(number, 2, 1)) for number in range(64)]
    assert {halves.count(half) for half in set(halves)} == {16}


def test_forbidden_sobol_points_are_left_out_and_the_others_keep_their_numbers() -> None:
    far = SobolSampler(SPACE, 0).propose(300, ())
    one_by_one = SobolSampler(SPACE, 0)
    points = [one_by_one.propose(number, ()) for number in range(301)]
    assert points[300] == far
    assert all(point is not None and SPACE.contains(point) for point in points)


def test_a_space_that_is_all_forbidden_has_no_points() -> None:
    space = SearchSpace({"x": Real(0.0, 1.0)}, (), (Forbidden("x >= 0", "never"),))
    assert SobolSampler(space, 0).propose(0, ()) is None


@pytest.mark.parametrize("method", ["random", "grid"])
def test_points_depend_on_the_number_alone(method: str) -> None:
    first, second = (make_sampler(method, SPACE, seed=1, levels=3) for _ in range(2))
    assert first.propose(7, ()) == second.propose(7, ()) != first.propose(8, ())


def test_all_points_of_a_small_space() -> None:
    assert len(list(all_points(SMALL))) == SMALL.num_points == 12
    assert SPACE.num_points is None
