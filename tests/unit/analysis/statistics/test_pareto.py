"""The Pareto front: what nothing dominates, and only that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.pareto import front

POINTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12)


def test_a_front_is_what_is_nowhere_worse_and_somewhere_better() -> None:
    assert front([(1.0, 3.0), (2.0, 2.0), (2.0, 3.0), (3.0, 1.0), (1.0, 3.0)]) == [0, 1, 3, 4]
    assert front([]) == [] and front([(1.0,), (2.0,)]) == [0]


@given(POINTS)
def test_every_other_point_is_dominated_by_one_of_the_front(points: list[tuple[int, int, int]]) -> None:
    best = [points[place] for place in front(points)]
    for point in points:
        dominating = [one for one in best if one != point and all(a <= b for a, b in zip(one, point, strict=True))]
        assert (point in best) == (not dominating)
