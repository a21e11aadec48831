"""One-sided p by inversion against published tests, and the seeds that a test needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.inference import mean_interval, paired_comparison, welch_comparison
from analysis.statistics.one_sided import IntervalAt, p_above, p_below, seeds_needed
from analysis.statistics.transforms import Interval, Logit

SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
"""Student (1908), Biometrika 6:1-25: hours of sleep gained by ten patients with either of two drugs."""


def standardised(mean: float, sd: float, size: int) -> list[float]:
    """Return values with exactly this mean and sample standard deviation."""
    values = np.random.default_rng(size).normal(size=size)
    return list(mean + sd * (values - values.mean()) / values.std(ddof=1))


def paired(a: list[float], b: list[float]) -> IntervalAt:
    return lambda confidence: paired_comparison(a, b, confidence=confidence).interval


def test_students_sleep_is_the_published_paired_t() -> None:
    below, above = p_below(paired(*SLEEP), 0.0), p_above(paired(*SLEEP), 0.0)
    assert below == pytest.approx(0.00283289 / 2, rel=1e-5)
    assert above == pytest.approx(1 - 0.00283289 / 2, rel=1e-9)
    interval = paired_comparison(*SLEEP).interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((-2.459886, -0.700114), abs=1e-6)


def test_students_sleep_is_the_published_welch_t() -> None:
    found = welch_comparison(*SLEEP)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((-3.365483, 0.205483), abs=1e-6)
    assert 2 * p_below(lambda c: welch_comparison(*SLEEP, confidence=c).interval, 0.0) == pytest.approx(0.0793941)  # type: ignore[operator]


def test_two_one_sided_tests_are_tosters() -> None:
    """Lakens (2017), doi 10.1177/1948550617697177: 5.25 (.95, n 95) against 5.22 (.83, n 89), ± .43 d."""
    a, b = standardised(5.25, 0.95, 95), standardised(5.22, 0.83, 89)
    bound = 0.43 * ((0.95**2 + 0.83**2) / 2) ** 0.5

    def at(confidence: float) -> Interval | None:
        return welch_comparison(a, b, confidence=confidence).interval

    assert p_below(at, bound) == pytest.approx(0.0038755, rel=1e-4)
    assert p_above(at, -bound) == pytest.approx(0.00095601, rel=1e-4)


def test_nists_certified_interval() -> None:
    """NIST/SEMATECH e-Handbook 1.3.5.2 and 1.3.5.3, ZARR13.DAT: 195 values, mean 9.261460, sd .02278881."""
    values = standardised(9.261460, 0.02278881, 195)
    interval = mean_interval(values)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((9.258241, 9.264679), abs=2e-6)
    assert p_above(lambda c: mean_interval(values, confidence=c), 5.0) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("bound", [-1.0, 0.3, 0.5, 0.52, 2.0])
def test_inversion_is_the_t_test_on_either_side(bound: float) -> None:
    values = [0.4, 0.7, 0.55, 0.3, 0.62]
    for found, alternative in ((p_above, "greater"), (p_below, "less")):
        p = found(lambda c: mean_interval(values, confidence=c), bound)
        assert p == pytest.approx(stats.ttest_1samp(values, bound, alternative=alternative).pvalue, abs=1e-3)


def test_of_rates_the_p_follows_the_interval_that_is_shown() -> None:
    values = [0.12, 0.15, 0.19, 0.14, 0.11]

    def at(confidence: float) -> Interval | None:
        return mean_interval(values, confidence=confidence, scale=Logit(1000))

    shown = at(0.95)
    assert shown is not None
    for bound, is_below in ((shown.high + 1e-4, True), (shown.high - 1e-4, False)):
        p = p_below(at, bound)
        assert p is not None and (p < 0.025) == is_below


def test_without_an_interval_there_is_no_p() -> None:
    assert p_above(lambda confidence: None, 0.0) is None
    assert p_below(lambda c: mean_interval([1.0], confidence=c), 0.0) is None


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6), (2.0, 5), (3.0, 4)])
def test_seeds_needed_are_the_published_ones(effect: float, n: int) -> None:
    assert seeds_needed(1.0, effect, level=0.025) == seeds_needed(2.0, -2 * effect, level=0.025) == n


def test_seeds_for_the_published_advantage_of_kuramoto_are_eight() -> None:
    assert seeds_needed(0.0292, -0.0353, level=0.025) == 8
    assert seeds_needed(0.0, 1.0, level=0.025) is seeds_needed(1.0, 0.0, level=0.025) is None
    assert seeds_needed(1.0, 1e-3, level=0.025) is None
