"""Statistics against published tables, hand-worked examples and simulated coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.inference import (
    holm,
    mean,
    mean_interval,
    paired_comparison,
    smallest_detectable_effect,
    standard_deviation,
    welch_comparison,
)
from analysis.statistics.transforms import LINEAR, LOG


@pytest.mark.parametrize(("n", "half_width"), [(3, 2.484), (5, 1.242), (10, 0.715), (20, 0.468)])
def test_half_width_in_standard_deviations_is_the_published_one(n: int, half_width: float) -> None:
    values = np.random.default_rng(n).normal(size=n)
    interval = mean_interval(list(values))
    assert interval is not None
    assert interval.method == "t"
    assert (interval.high - interval.low) / 2 / np.std(values, ddof=1) == pytest.approx(half_width, abs=5e-4)
    assert (interval.high + interval.low) / 2 == pytest.approx(values.mean())


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_cover_the_true_mean_in_95_percent_of_4000_draws(n: int) -> None:
    draws = np.random.default_rng(20261122 + n).normal(0.7, 2.0, size=(4000, n))
    unit = mean_interval(list(range(n)))
    assert unit is not None
    # The half-width is proportional to the spread, so one call gives the factor for all draws.
    factor = (unit.high - unit.low) / 2 / np.std(np.arange(n), ddof=1)
    covered = np.abs(draws.mean(axis=1) - 0.7) <= factor * draws.std(axis=1, ddof=1)
    assert 0.94 <= covered.mean() <= 0.96


@pytest.mark.parametrize("n", [3, 5, 10])
def test_both_functions_give_intervals_that_cover_in_95_percent_of_600_draws(n: int) -> None:
    """Every interval comes from the function itself; three standard errors of a share of 600 are .027."""
    rng = np.random.default_rng(7 + n)
    baseline = rng.normal(2.5, 0.5, size=(600, n))
    treatment = baseline + rng.normal(0.7, 2.0, size=(600, n))
    covered: dict[str, list[bool]] = {"mean": [], "pairs": []}
    for a, b in zip(treatment, baseline, strict=True):
        for name, interval in (("mean", mean_interval(b)), ("pairs", paired_comparison(a, b).interval)):
            assert interval is not None
            covered[name].append(interval.low <= {"mean": 2.5, "pairs": 0.7}[name] <= interval.high)
    assert {name: len(draws) for name, draws in covered.items()} == {"mean": 600, "pairs": 600}
    assert all(abs(np.mean(draws) - 0.95) <= 0.027 for draws in covered.values())


def skewed(rng: np.random.Generator, law: str, shape: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Return draws of a law for which Student's t is not made, and its mean."""
    if law == "exponential":
        return rng.exponential(size=shape), 1.0
    if law == "one seed in five is 5 sd off":
        return rng.normal(size=shape) + 5 * (rng.random(shape) < 0.2), 1.0
    return np.where(rng.random(shape) < 0.5, 0.999, 0.25) + rng.normal(0, 1e-4, shape), 0.6245


@pytest.mark.parametrize(
    ("law", "covered_at_3", "covered_at_5"),
    [
        ("exponential", 0.882, 0.885),
        ("one seed in five is 5 sd off", 0.900, 0.861),
        ("half the seeds solve it", 0.749, 0.939),
    ],
)
def test_what_intervals_cover_where_values_are_not_normal(
    law: str, covered_at_3: float, covered_at_5: float
) -> None:
    """The cases that the module names; the standard error of a share of 4,000 is at most .007."""
    for n, expected in ((3, covered_at_3), (5, covered_at_5)):
        draws, truth = skewed(np.random.default_rng(n), law, (4000, n))
        unit = mean_interval(list(range(n)))
        assert unit is not None
        factor = (unit.high - unit.low) / 2 / np.std(np.arange(n), ddof=1)
        covered = np.abs(draws.mean(axis=1) - truth) <= factor * draws.std(axis=1, ddof=1)
        assert covered.mean() == pytest.approx(expected, abs=0.025)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_paired_test_rejects_a_true_null_at_its_level(n: int) -> None:
    rng = np.random.default_rng(n)
    seed_effect = rng.normal(0, 5, size=(400, n))
    arms = seed_effect[:, None] + rng.normal(size=(400, 2, n))
    p_values = [paired_comparison(a, b).p for a, b in arms]
    assert 0.02 <= np.mean([p is not None and p < 0.05 for p in p_values]) <= 0.08


@pytest.mark.parametrize(("n", "effect"), [(3, 3.26), (5, 1.68), (10, 1.00)])
def test_smallest_detectable_effect_is_the_published_one(n: int, effect: float) -> None:
    assert smallest_detectable_effect(n) == pytest.approx(effect, abs=6e-3)


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6), (2.0, 5), (3.0, 4)])
def test_seeds_needed_are_the_published_ones(effect: float, n: int) -> None:
    assert smallest_detectable_effect(n) <= effect < smallest_detectable_effect(n - 1)


def test_detectable_effect_is_found_with_the_power_asked_for() -> None:
    effect = smallest_detectable_effect(5, power=0.9)
    differences = np.random.default_rng(1).normal(effect, 1, size=(800, 5))
    found = [p is not None and p < 0.05 for p in (paired_comparison(d, np.zeros(5)).p for d in differences)]
    assert np.mean(found) == pytest.approx(0.9, abs=0.035)


def test_detectable_effect_exists_at_two_pairs() -> None:
    assert smallest_detectable_effect(2) == pytest.approx(11.55, abs=0.01)


@pytest.mark.parametrize("arguments", [{"n": 1}, {"n": 5, "power": 1.0}, {"n": 5, "alpha": 0.0}])
def test_detectable_effect_refuses_nonsense(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs"):
        smallest_detectable_effect(**arguments)  # type: ignore[arg-type]


def test_holm_by_hand() -> None:
    # sorted: .005 × 4 = .02, .01 × 3 = .03, .03 × 2 = .06, .04 × 1 = .04 -> .06 (never below its predecessor)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_rejects_three_of_benjaminis_fifteen() -> None:
    """Benjamini & Hochberg (1995), JRSS B 57:289-300, section 4."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p_values += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert sum(p < 0.05 for p in holm(p_values)) == 3


def test_holm_caps_at_one_and_takes_an_empty_family() -> None:
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="p-values"):
        holm([0.5, p])


def test_paired_comparison_by_hand() -> None:
    # differences .1, .2, .3: mean .2, sd .1, t = .2 / (.1 / √3) = 3.4641, df 2 -> p = .0742
    result = paired_comparison([1.1, 2.2, 3.3], [1.0, 2.0, 3.0])
    assert result.n == 3
    assert result.difference == pytest.approx(0.2)
    assert result.p == pytest.approx(0.07418, abs=1e-5)
    assert result.interval is not None
    assert result.interval.low == pytest.approx(0.2 - 2.4841 * 0.1, abs=1e-4)
    assert result.interval.high == pytest.approx(0.2 + 2.4841 * 0.1, abs=1e-4)
    assert result.seed_correlation == pytest.approx(1.0)
    assert not result.identical


def test_pairing_removes_the_spread_that_seeds_share() -> None:
    baseline = [1.0, 3.0, 5.0, 7.0, 9.0]
    treatment = [1.11, 3.09, 5.12, 7.10, 9.08]
    paired, unpaired = paired_comparison(treatment, baseline), welch_comparison(treatment, baseline)
    assert paired.p is not None
    assert paired.p < 0.001
    assert unpaired.p is not None
    assert unpaired.p > 0.9


def test_welch_by_hand() -> None:
    # means 5 and 2, variances 4 and 1, n = 3 each: t = 3 / √(5/3) = 2.3238,
    # df = (5/3)² / ((4/3)²/2 + (1/3)²/2) = 2.9412 -> p = .10448
    result = welch_comparison([3.0, 5.0, 7.0], [1.0, 2.0, 3.0])
    assert result.n == 3
    assert result.difference == pytest.approx(3.0)
    assert result.p == pytest.approx(0.10448, abs=1e-5)
    assert result.interval is not None
    assert result.interval.low < 0 < result.interval.high


def test_equal_pairs_are_identical_not_merely_close() -> None:
    result = paired_comparison([1.0, 2.0, 4.0], [1.0, 2.0, 4.0])
    assert (result.identical, result.p, result.interval, result.difference) == (True, 1.0, None, 0.0)


def test_constant_difference_has_no_test_and_claims_no_certainty() -> None:
    result = paired_comparison([1.1, 2.1, 3.1], [1.0, 2.0, 3.0])
    assert (result.identical, result.p, result.interval) == (False, None, None)
    assert result.difference == pytest.approx(0.1)


def test_one_pair_shows_its_difference_and_nothing_else() -> None:
    result = paired_comparison([3.0], [1.0])
    assert (result.n, result.difference, result.p, result.interval) == (1, 2.0, None, None)


def test_welch_with_a_constant_arm_has_no_test() -> None:
    result = welch_comparison([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    assert (result.p, result.interval, result.difference) == (None, None, -1.0)


@pytest.mark.parametrize("values", [[], [2.0], [2.0, 2.0, 2.0], [0.1 + 0.2, 0.3, 0.3]])
def test_no_interval_without_spread(values: list[float]) -> None:
    assert mean_interval(values) is None


def test_log_scale_gives_the_geometric_mean_inside_a_positive_interval() -> None:
    values = [2.0, 8.0, 4.0]
    interval = mean_interval(values, scale=LOG)
    assert mean(values, scale=LOG) == pytest.approx(4.0)
    assert interval is not None
    assert interval.low * interval.high == pytest.approx(16.0)
    assert interval.low > 0
    assert interval.method == "t on the log scale"


def test_log_scale_compares_by_ratio() -> None:
    result = paired_comparison([11.0, 21.0, 34.0], [10.0, 20.0, 30.0], scale=LOG)
    assert result.difference == pytest.approx((1.1 * 1.05 * 34 / 30) ** (1 / 3) - 1)
    assert result.interval is not None
    assert result.interval.low < result.difference < result.interval.high


def test_log_scale_has_no_interval_where_a_bound_exceeds_every_float() -> None:
    assert mean_interval([1e5, 1e300], scale=LOG) is None
    result = paired_comparison([1e5, 1e300], [1e5, 2e5], scale=LOG)
    assert result.interval is None
    assert result.p is not None


def test_standard_deviation_has_n_minus_one() -> None:
    assert standard_deviation([1.0, 2.0, 3.0]) == pytest.approx(1.0)
    assert standard_deviation([1.0]) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_values_are_refused_everywhere(bad: float) -> None:
    for call in (
        lambda: mean([1.0, bad]),
        lambda: mean_interval([1.0, bad]),
        lambda: paired_comparison([1.0, bad], [1.0, 2.0]),
        lambda: welch_comparison([1.0, 2.0], [bad, 2.0]),
    ):
        with pytest.raises(ValueError, match="not finite"):
            call()


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="equal lengths"):
        paired_comparison([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="above 0"):
        mean_interval([1.0, 0.0], scale=LOG)
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], confidence=95)
    with pytest.raises(ValueError, match="at least one"):
        mean([])


def test_values_whose_squares_exceed_every_float_have_a_spread_and_no_nonsense() -> None:
    huge = [1e160, 2e160, 3e160]
    assert standard_deviation(huge) == pytest.approx(1e160)
    assert standard_deviation([-1.7e308, 1.7e308]) is None
    for scale in (LINEAR, LOG):
        interval = mean_interval(huge, scale=scale)
        assert interval is None or (math.isfinite(interval.low) and math.isfinite(interval.high))
        paired = paired_comparison(huge, [1e160, 5e160, 7e160], scale=scale)
        for compared in (paired, welch_comparison(huge, huge[:2], scale=scale)):
            assert compared.p is None or 0 <= compared.p <= 1
            assert compared.interval is None or math.isfinite(compared.interval.high)
    assert mean_interval(huge, scale=LOG) is not None


@given(st.lists(st.floats(-1e100, 1e100), min_size=2, max_size=9))
def test_the_spread_of_ordinary_values_is_numpys_to_the_last_bit(values: list[float]) -> None:
    assert standard_deviation(values) == float(np.std(values, ddof=1))


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (10, 4)])
def test_intervals_and_p_values_are_those_of_scipy(sizes: tuple[int, int], confidence: float) -> None:
    """Its result objects are too slow for a table of thousands of comparisons, so they are not used."""
    from scipy import stats

    generator = np.random.default_rng(sum(sizes))
    a, b = (generator.normal(2, 0.1 * size, size) for size in sizes)
    found = mean_interval(a, confidence=confidence)
    expected = stats.t.interval(confidence, a.size - 1, loc=a.mean(), scale=stats.sem(a))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)
    pairs = generator.normal(2.1, 0.2, a.size)
    for comparison, test in (
        (paired_comparison(a, pairs, confidence=confidence), stats.ttest_rel(a, pairs)),
        (welch_comparison(a, b, confidence=confidence), stats.ttest_ind(a, b, equal_var=False)),
    ):
        bounds = (comparison.interval.low, comparison.interval.high)
        assert bounds == pytest.approx(tuple(test.confidence_interval(confidence)), rel=1e-10)
        assert comparison.p == pytest.approx(test.pvalue, rel=1e-10)
