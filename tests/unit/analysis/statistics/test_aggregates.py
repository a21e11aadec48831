"""Aggregates against the values of rliable 1.2.0, scipy, and what resampling means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.aggregates import (
    average,
    bootstrap,
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)

A = [[0.6, 0.63, 0.573], [0.511, 0.555, 0.501], [0.606, 0.734, 0.551], [0.538, 0.649, 0.636], [0.611, 0.507, 1.05]]
B = [
    [0.6, 0.298, 0.431],
    [0.215, 0.307, 0.224],
    [0.465, 0.649, 0.541],
    [0.524, 0.472, 0.122],
    [0.419, 0.493, 0.517],
]
"""Scores of five runs in three tasks."""


def tasks(runs_by_tasks: list[list[float]]) -> list[np.ndarray]:
    return list(np.array(runs_by_tasks).T)


def test_points_are_those_of_rliable() -> None:
    """The functions of `rliable.metrics`, and `create_performance_profile`, of version 1.2.0."""
    found = [
        [float(statistic(tasks(each))) for statistic in (interquartile_mean, average, optimality_gap)]
        for each in (A, B)
    ]
    assert found[0] == pytest.approx([0.5888888888888889, 0.6168, 0.3865333333333333], abs=1e-12)
    assert found[1] == pytest.approx([0.43622222222222223, 0.4184666666666666, 0.5815333333333335], abs=1e-12)
    assert float(probability_of_improvement(tasks(A), tasks(B))) == pytest.approx(0.88, abs=1e-12)
    profile = performance_profile(tasks(A), [0.4, 0.5, 0.6, 0.7])
    assert profile == pytest.approx([1.0, 1.0, 0.46666667, 0.13333333], abs=1e-8)


def test_intervals_are_those_of_rliable() -> None:
    """`get_interval_estimates` with 20,000 and 5,000 resamples; both draw at random, so within .008 and .03."""
    rng = np.random.default_rng(3)
    expected = [(0.55, 0.63344444), (0.563, 0.68686833), (0.32259833, 0.43700167)]
    for statistic, bounds in zip((interquartile_mean, average, optimality_gap), expected, strict=True):
        found = bootstrap(statistic, tasks(A), resamples=20_000, rng=rng)
        assert found is not None
        assert (found.low, found.high) == pytest.approx(bounds, abs=0.008)
    found = bootstrap(probability_of_improvement, tasks(A), tasks(B), resamples=5_000, rng=rng)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.72666667, 0.98666667), abs=0.03)


RUNS = st.lists(st.floats(-2, 2), min_size=1, max_size=7)


@given(st.lists(RUNS, min_size=1, max_size=4))
def test_the_interquartile_mean_is_scipys_trimmed_mean_over_all_runs(runs: list[list[float]]) -> None:
    pooled = [value for task in runs for value in task]
    expected = stats.trim_mean(pooled, 0.25)
    assert float(interquartile_mean([np.array(task) for task in runs])) == pytest.approx(expected, abs=1e-12)


@given(RUNS, RUNS)
def test_the_probability_of_improvement_is_mann_and_whitneys(x: list[float], y: list[float]) -> None:
    expected = stats.mannwhitneyu(x, y, method="asymptotic").statistic / (len(x) * len(y))
    assert float(probability_of_improvement([np.array(x)], [np.array(y)])) == pytest.approx(expected)
    back = float(probability_of_improvement([np.array(y)], [np.array(x)]))
    assert back == pytest.approx(1 - expected)


def test_of_three_runs_of_one_task_the_interval_is_their_range() -> None:
    found = bootstrap(average, [np.array([1.0, 2.0, 9.0])], rng=np.random.default_rng(0))
    assert found is not None
    assert (found.low, found.high) == (1.0, 9.0)
    all_means = [np.mean(drawn) for drawn in itertools.product([1.0, 2.0, 9.0], repeat=3)]
    assert np.mean(np.array(all_means) == 1.0) > 0.025  # which is why


def test_what_does_not_vary_or_stands_alone_has_no_interval() -> None:
    rng = np.random.default_rng(0)
    assert bootstrap(average, [np.array([0.5])], rng=rng) is None
    assert bootstrap(average, [np.array([0.5, 0.5])], rng=rng) is None
    assert bootstrap(probability_of_improvement, [np.array([2.0, 3.0])], [np.array([0.0, 1.0])], rng=rng) is None


def test_both_need_the_same_tasks() -> None:
    with pytest.raises(ValueError, match="same tasks"):
        probability_of_improvement(tasks(A), tasks(B)[:2])
