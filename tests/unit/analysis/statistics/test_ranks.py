"""Rank correlation with ties, and the interval of one of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.ranks import bonett_wright, fisher_z, spearman

small = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12)


@given(small)
def test_it_is_scipys_with_ties(points: list[tuple[int, int]]) -> None:
    x, y = ([float(p[index]) for p in points] for index in (0, 1))
    found = spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_the_interval_of_one_correlation_is_bonett_and_wrights() -> None:
    found = bonett_wright(0.944056, 12)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.7567, 0.9881), abs=1e-4)
    assert bonett_wright(0.5, 3) is None


def test_a_perfect_order_has_a_finite_z_above_every_imperfect_one() -> None:
    points = 5
    next_best = 1 - 12 / (points**3 - points)
    assert fisher_z(1.0, points) > fisher_z(next_best, points) == pytest.approx(math.atanh(next_best))
    assert fisher_z(-1.0, points) == -fisher_z(1.0, points)


def test_too_few_points_and_unequal_lengths() -> None:
    assert spearman([1.0, 2.0], [1.0, 2.0]) is None
    with pytest.raises(ValueError, match="equal lengths"):
        spearman([1.0, 2.0, 3.0], [1.0, 2.0])
