"""F of repeated measures: t² with two levels, and by hand with three."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.repeated_measures import effect_p


def test_two_levels_are_the_paired_t_squared() -> None:
    values = np.random.default_rng(1).normal(size=(6, 2))
    found = effect_p(values)
    test = stats.ttest_rel(values[:, 0], values[:, 1])
    assert found == pytest.approx((test.statistic**2, test.pvalue))


def test_the_interaction_of_two_by_two_is_the_t_of_the_contrast() -> None:
    values = np.random.default_rng(2).normal(size=(7, 2, 2))
    contrast = values[:, 1, 1] - values[:, 1, 0] - values[:, 0, 1] + values[:, 0, 0]
    test = stats.ttest_1samp(contrast, 0.0)
    assert effect_p(values) == pytest.approx((test.statistic**2, test.pvalue))


def test_three_levels_by_sums_of_squares() -> None:
    values = np.array([[8.0, 7.0, 6.0], [9.0, 5.0, 4.0], [6.0, 5.0, 7.0], [7.0, 6.0, 2.0]])
    grand = values.mean()
    levels = 4 * ((values.mean(axis=0) - grand) ** 2).sum()
    seeds = 3 * ((values.mean(axis=1) - grand) ** 2).sum()
    rest = ((values - grand) ** 2).sum() - levels - seeds
    f = (levels / 2) / (rest / 6)
    assert effect_p(values) == pytest.approx((f, stats.f.sf(f, 2, 6)))


def test_without_a_rest_there_is_no_test() -> None:
    assert effect_p(np.array([[1.0, 2.0], [2.0, 3.0], [5.0, 6.0]])) is None
