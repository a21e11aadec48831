"""Rates of hits over the items of a seed: one logit a seed, near 0 and 1 too, and never items of several seeds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from analysis.statistics.inference import Comparison, mean, mean_interval, paired_comparison, welch_comparison
from analysis.statistics.transforms import LINEAR, Logit, clopper_pearson

M = 1000
THOUSAND = Logit(M)


def rates(*hits: float) -> list[float]:
    return [hit / M for hit in hits]


def test_the_logit_adds_half_a_hit_and_half_a_miss() -> None:
    logits = Logit(200).forward([0.0, 21 / 200, 0.5, 1.0])
    assert logits == pytest.approx([math.log(0.5 / 200.5), math.log(21.5 / 179.5), 0.0, math.log(200.5 / 0.5)])
    assert Logit(200).back(math.log(21.5 / 179.5)) == pytest.approx(21.5 / 201)


def test_interval_by_hand() -> None:
    # 21, 15, 27 hits of 200: logits −2.12212, −2.48221, −1.84199: mean −2.14878, sd .32094, ± 4.30265 sd / √3
    interval = mean_interval([21 / 200, 15 / 200, 27 / 200], scale=Logit(200))
    assert interval is not None
    assert interval.method == "t on the logit scale"
    assert interval.note == ""
    assert special.logit([interval.low, interval.high]) == pytest.approx([-2.94604, -1.35151], abs=1e-5)
    assert mean([21 / 200, 15 / 200, 27 / 200], scale=Logit(200)) == pytest.approx(0.105, abs=1e-12)
    # Pooling the 600 items would claim [.083, .132]: the seeds know less.
    assert interval.low < 0.083
    assert interval.high > 0.132


def test_more_items_do_not_narrow_what_seeds_scatter() -> None:
    values = [0.3, 0.4, 0.5]
    few, many = (mean_interval(values, scale=Logit(items)) for items in (10_000, 1_000_000))
    assert few is not None and many is not None
    assert few.high - few.low == pytest.approx(many.high - many.low, rel=1e-3)


@pytest.mark.parametrize(
    ("hits", "expected"), [(0, (0.0, 0.01828)), (21, (0.06618, 0.15602)), (37, (0.13373, 0.24586))]
)
def test_clopper_pearson_is_the_published_one(hits: int, expected: tuple[float, float]) -> None:
    assert clopper_pearson(hits, 200) == pytest.approx(expected, abs=6e-6)
    low, high = clopper_pearson(200 - hits, 200)
    assert (1 - high, 1 - low) == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize("num_seeds", [2, 5, 20])
def test_seeds_without_a_hit_say_what_the_items_of_one_seed_say(num_seeds: int) -> None:
    interval = mean_interval([0.0] * num_seeds, scale=THOUSAND)
    assert interval is not None
    assert interval.low == 0.0
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / M))
    assert interval.method == "Clopper-Pearson on one seed's 1,000 items"
    assert interval.note.startswith("no seed has any hits")
    assert mean([0.0] * num_seeds, scale=THOUSAND) == 0.0


def test_seeds_without_a_miss_mirror_those_without_a_hit() -> None:
    none, all_hit = (mean_interval([value] * 3, scale=THOUSAND) for value in (0.0, 1.0))
    assert none is not None and all_hit is not None
    assert (all_hit.low, all_hit.high) == pytest.approx((1 - none.high, 1.0))
    assert all_hit.note.startswith("no seed has any misses")
    assert mean([1.0] * 3, scale=THOUSAND) == 1.0


def test_one_hit_in_one_seed_does_not_narrow_the_interval() -> None:
    """Student's t alone would say [.0003, .0011], far from the 1 hit in 5,000 that was seen."""
    interval = mean_interval(rates(0, 0, 0, 0, 1), scale=THOUSAND)
    assert interval is not None
    assert interval.low < 1 / 5000 < clopper_pearson(0, M)[1] < interval.high
    assert interval.method == "t on the logit scale, widened to Clopper-Pearson on one seed's 1,000 items"
    assert "fewer than 3 hits" in interval.note


@pytest.mark.parametrize("values", [[0.25], [0.0], [0.25, 0.25, 0.25]])
def test_equal_seeds_score_what_they_score_and_have_no_interval(values: list[float]) -> None:
    assert mean(values, scale=THOUSAND) == values[0]
    assert mean_interval(values, scale=THOUSAND) is None


def test_interval_lies_between_0_and_1_and_moves_with_the_rate() -> None:
    """Whoever counts misses instead of hits gets the mirrored interval: the scale is monotone and symmetric."""
    lows = []
    for hits in range(3, 996, 8):
        values = rates(hits, hits + 2, hits + 1)
        interval, mirrored = (mean_interval(v, scale=THOUSAND) for v in (values, [1 - v for v in values]))
        assert interval is not None and mirrored is not None
        assert 0 < interval.low < mean(values, scale=THOUSAND) < interval.high < 1
        assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((interval.low, interval.high))
        lows.append(interval.low)
    assert lows == sorted(lows)


def test_paired_comparison_by_hand() -> None:
    # logits of 110.5/890.5, 130.5/870.5, 160.5/840.5 against 100.5/900.5, 110.5/890.5, 150.5/850.5
    treatment, baseline = rates(110, 130, 160), rates(100, 110, 150)
    result = paired_comparison(treatment, baseline, scale=THOUSAND)
    a, b = (
        np.log((np.array(hits) + 0.5) / (M - np.array(hits) + 0.5)) for hits in ([110, 130, 160], [100, 110, 150])
    )
    t = (a - b).mean() / ((a - b).std(ddof=1) / math.sqrt(3))
    assert result.p == pytest.approx(2 * stats.t.sf(t, 2))
    assert result.difference == pytest.approx(0.4 / 3 - 0.36 / 3)
    assert result.interval is not None
    assert result.interval.method == "paired t on the logit scale"
    assert result.interval.low < result.difference < result.interval.high


def test_between_close_rates_the_interval_is_that_of_the_logits_at_their_level() -> None:
    """A difference d of logits at rate p is worth p(1 − p)·d; near ½ that is what the plain paired t gives too."""
    treatment, baseline = [0.504, 0.509, 0.507, 0.502], [0.501, 0.503, 0.500, 0.499]
    logit, linear = (paired_comparison(treatment, baseline, scale=s).interval for s in (Logit(10**6), LINEAR))
    assert logit is not None and linear is not None
    assert (logit.low, logit.high) == pytest.approx((linear.low, linear.high), rel=2e-3)


@pytest.mark.parametrize("compare", [paired_comparison, welch_comparison])
def test_the_interval_of_a_difference_holds_0_exactly_if_the_test_does_not_reject(compare: Any) -> None:
    rng, decisions = np.random.default_rng(3), set()
    for _ in range(120):
        level = special.logit(rng.choice([0.01, 0.1, 0.5, 0.97]))
        shared = rng.normal(0, rng.choice([0, 0.5]), size=4)
        a, b = (special.expit(level + shared + rng.normal(m, 0.3, size=4)) for m in (0.6, 0))
        result = compare(rng.binomial(M, a) / M, rng.binomial(M, b) / M, scale=THOUSAND)
        assert result.p is not None and result.interval is not None
        assert -1 <= result.interval.low <= result.difference <= result.interval.high <= 1
        assert (result.p < 0.05) == (not result.interval.low <= 0 <= result.interval.high)
        decisions.add(result.p < 0.05)
    assert decisions == {True, False}


@pytest.mark.parametrize(("hits_a", "hits_b"), [(0, 0), (1000, 0), (1000, 1000), (250, 250), (250, 260)])
@pytest.mark.parametrize("compare", [paired_comparison, welch_comparison])
def test_no_test_where_neither_arm_varies(compare: Any, hits_a: int, hits_b: int) -> None:
    result: Comparison = compare(rates(*[hits_a] * 3), rates(*[hits_b] * 3), scale=THOUSAND)
    assert (result.p, result.interval, result.identical) == (None, None, False)
    assert result.difference == pytest.approx((hits_a - hits_b) / M, abs=1e-15)


def test_an_arm_that_varies_is_compared_with_one_that_never_hits() -> None:
    result = paired_comparison(rates(90, 120, 150), rates(0, 0, 0), scale=THOUSAND)
    assert result.p is not None and result.p < 0.05
    assert result.interval is not None and 0 < result.interval.low < 0.12 < result.interval.high < 0.25
    assert result.seed_correlation is None


def test_the_same_rates_on_every_seed_are_identical_where_they_vary() -> None:
    assert paired_comparison(rates(90, 120, 150), rates(90, 120, 150), scale=THOUSAND).identical


@pytest.mark.parametrize("bad", [-0.01, 1.01])
def test_what_is_no_rate_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean([0.5, bad], scale=THOUSAND)


def test_a_rate_needs_items() -> None:
    with pytest.raises(ValueError, match="at least 1 item"):
        Logit(0)


def test_a_mean_is_the_average_that_readers_take_it_for() -> None:
    """Seeds .25, .27 and 1: their logits' mean, brought back, is .86, which no seed scores."""
    values = [0.25, 0.27, 1.0]
    interval = mean_interval(values, scale=THOUSAND)
    assert mean(values, scale=THOUSAND) == pytest.approx(0.506667, abs=1e-6)
    assert interval is not None and interval.low < 0.001 and interval.high > 0.9999
    assert "seeds lie far apart, from 0.25 to 1" in interval.note
    assert "of the typical seed's rate" in interval.note
    near = mean_interval([0.25, 0.27, 0.3], scale=THOUSAND)
    assert near is not None and near.note == ""


@pytest.mark.parametrize("compare", [paired_comparison, welch_comparison])
def test_a_difference_is_that_of_the_means_beside_it(compare: Any) -> None:
    """One arm never varies: .001555 beside .004625 was once a difference of −.00356."""
    varying, constant = [0.001, 0.0015, 0.00225], [0.004625] * 3
    for treatment, baseline in ((varying, constant), (constant, varying)):
        result = compare(treatment, baseline, scale=THOUSAND)
        means = mean(treatment, scale=THOUSAND) - mean(baseline, scale=THOUSAND)
        assert result.difference == pytest.approx(means, abs=1e-15)


def test_half_a_hit_is_added_to_what_was_counted() -> None:
    """8 tokens of each of 1,000 needles: the half hit is one of 8,000, Clopper and Pearson's trials are needles."""
    tokens = Logit(M, 8 * M)
    assert tokens.forward([10 / 8000]) == pytest.approx([math.log(10.5 / 7990.5)])
    none = mean_interval([0.0] * 3, scale=tokens)
    assert none is not None and none.high == pytest.approx(clopper_pearson(0, M)[1])
    with pytest.raises(ValueError, match="at least as many scored"):
        Logit(M, M - 1)


def test_the_interval_holds_the_average_even_where_it_is_not_of_it() -> None:
    """Ninety seeds near 0 and ten near 1: the typical seed scores 1 %, the average 10 %."""
    values = rates(*[5] * 45, *[6] * 45, *[990] * 10)
    interval = mean_interval(values, scale=THOUSAND)
    assert interval is not None
    assert interval.low < interval.high == pytest.approx(mean(values, scale=THOUSAND))
    assert "far apart" in interval.note


def draw(rng: np.random.Generator, rate: float, spread: float, size: tuple[int, ...]) -> np.ndarray:
    """Draw rates of seeds whose logits are normal around that of `rate`, each over M items."""
    hits: np.ndarray = rng.binomial(M, special.expit(special.logit(rate) + rng.normal(0, spread, size=size)))
    return hits / M


def average(rate: float, spread: float) -> float:
    """Return the average rate of very many seeds whose logits are normal around that of `rate`."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    return float(special.expit(special.logit(rate) + spread * nodes) @ weights / weights.sum())


def covered(rate: float, spread: float, num_draws: int, num_seeds: int = 5, *, truth: float | None = None) -> float:
    """Return the share of draws whose interval holds `truth`, or else the rate of a typical seed."""
    rng = np.random.default_rng(round(1e4 * rate))
    truth, hits = rate if truth is None else truth, 0
    for values in draw(rng, rate, spread, (num_draws, num_seeds)):
        interval = mean_interval(values, scale=THOUSAND)
        hits += interval is not None and interval.low <= truth <= interval.high
    return hits / num_draws


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_intervals_cover_in_95_percent_of_600_draws(rate: float) -> None:
    """Three standard errors of a share of 600 are .027."""
    assert covered(rate, 0.4, 600) == pytest.approx(0.95, abs=0.027)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.2, 0.6])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_intervals_cover_in_94_to_96_percent(rate: float, spread: float) -> None:
    """The standard error of a share of 4,000 is .0034."""
    assert 0.94 <= covered(rate, spread, 4000) <= 0.96


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0001, 0.0005, 0.001, 0.002, 0.005])
def test_intervals_cover_where_seeds_have_few_hits(rate: float) -> None:
    assert covered(rate, 0.3, 4000) >= 0.935


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("rate", [0.001, 0.002, 0.01, 0.1, 0.9, 0.99, 0.998])
def test_intervals_cover_the_typical_seed_whatever_the_spread(rate: float, spread: float, num_seeds: int) -> None:
    """Three standard errors of a share of 2,000 are .015."""
    assert covered(rate, spread, 2000, num_seeds) >= 0.93


@pytest.mark.slow
def test_intervals_that_cover_less_are_the_ones_that_are_named() -> None:
    """Every number of the docstring of `Logit.interval` that is below .93."""
    assert covered(0.0001, 2.0, 2000) == pytest.approx(0.89, abs=0.03)
    for rate in (0.01, 0.1, 0.9):
        assert covered(rate, 0.3, 2000, truth=average(rate, 0.3)) >= 0.93
        assert 0.87 <= covered(rate, 1.0, 2000, truth=average(rate, 1.0)) <= 0.93
    assert covered(0.002, 2.0, 2000, truth=average(0.002, 2.0)) == pytest.approx(0.62, abs=0.04)
    assert covered(0.1, 2.0, 2000, 3, truth=average(0.1, 2.0)) == pytest.approx(0.93, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "num_seeds", "least"), [(0.9, 3, 0.90), (0.9, 5, 0.93), (0.1, 3, 0.93), (0.01, 5, 0.93)]
)
def test_differences_of_arms_that_share_half_of_their_spread_cover(
    rate: float, num_seeds: int, least: float
) -> None:
    """Against an arm of .1 at a spread of 1; the lowest coverage is that of .9 beside .1 at three seeds."""
    rng, found = np.random.default_rng(5), 0
    for _ in range(2000):
        shared = rng.normal(size=num_seeds)
        a, b = (
            rng.binomial(M, special.expit(special.logit(r) + (shared + rng.normal(size=num_seeds)) * 0.5**0.5)) / M
            for r in (rate, 0.1)
        )
        interval = paired_comparison(a, b, scale=THOUSAND).interval
        found += interval is not None and interval.low <= rate - 0.1 <= interval.high
    assert found / 2000 >= least


@pytest.mark.slow
@pytest.mark.parametrize(("treatment", "baseline"), [(0.02, 0.01), (0.12, 0.1), (0.5, 0.1), (0.99, 0.5)])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_intervals_of_differences_cover(treatment: float, baseline: float, shared: float) -> None:
    rng, found = np.random.default_rng(11), 0
    for _ in range(2000):
        seed_effect = rng.normal(0, shared, size=5)
        logits = (special.logit(rate) + seed_effect + rng.normal(0, 0.25, size=5) for rate in (treatment, baseline))
        a, b = (rng.binomial(M, special.expit(logit)) / M for logit in logits)
        interval = paired_comparison(a, b, scale=THOUSAND).interval
        found += interval is not None and interval.low <= treatment - baseline <= interval.high
    assert 0.935 <= found / 2000 <= 0.965
