"""The linear model with blocks, against the paired t-test and least squares written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.block_model import fit_blocks
from analysis.statistics.inference import holm, mean_interval


def test_of_two_arms_it_is_the_paired_t_test() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 6))
    (effect,) = fit_blocks(
        np.repeat([[1.0], [0.0]], 6, axis=0), np.concatenate([a, b]), [*range(6), *range(6)]
    ).effects
    expected = stats.ttest_rel(a, b)
    assert effect is not None and effect.test is not None
    assert effect.value == pytest.approx((a - b).mean())
    assert effect.test.p == pytest.approx(expected.pvalue)
    assert effect.test.df == 5
    interval = mean_interval((a - b).tolist())
    assert interval is not None
    assert effect.test.bounds(0.95) == pytest.approx((interval.low, interval.high))


def test_missing_values_and_blocks_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(1)
    x_NK = rng.choice([-0.5, 0.5], size=(17, 2))
    blocks = [0, 1, 2] * 5 + [0, 0]
    y_N = x_NK @ [1.0, -2.0] + np.array(blocks) * 3.0 + rng.normal(size=17)
    fit = fit_blocks(x_NK, y_N, blocks)
    design = np.hstack([x_NK, np.eye(3)[blocks]])
    coefficients, (rest,), _, _ = np.linalg.lstsq(design, y_N, rcond=None)
    errors = np.sqrt(rest / 12 * np.diag(np.linalg.inv(design.T @ design)))
    assert fit.df == 12
    for effect, value, error in zip(fit.effects, coefficients, errors, strict=False):
        assert effect is not None and effect.test is not None
        assert effect.value == pytest.approx(value)
        assert effect.test.standard_error == pytest.approx(error)


def test_what_the_observations_cannot_tell_apart_is_not_estimated() -> None:
    x_NK = np.array([[0.5, 0.5, 1.0], [-0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, -0.5, 1.0]])
    same, also, other = fit_blocks(x_NK, np.array([1.0, 2.0, 4.0, 3.0]), [0, 0, 1, 1]).effects
    assert same is None and also is None
    assert other is not None and other.value == pytest.approx(-1.0)


def test_without_error_there_is_an_effect_and_no_test() -> None:
    """One seed leaves no degree of freedom; values without noise leave nothing to compare with."""
    x_NK = np.array([[0.5], [-0.5]])
    (one,) = fit_blocks(x_NK, np.array([2.0, 1.0]), [0, 0]).effects
    (exact,) = fit_blocks(np.vstack([x_NK, x_NK]), np.array([2.0, 1.0, 3.0, 2.0]), [0, 0, 1, 1]).effects
    for effect in (one, exact):
        assert effect is not None and effect.test is None
        assert effect.value == pytest.approx(1.0)


@pytest.mark.slow
def test_a_factorial_finds_what_a_contrast_a_seed_misses() -> None:
    """16 arms and 5 seeds, effects of 1, .5, 0 and 0 seed SDs, pairing .2: .99 and .53 against .72 and .25."""
    rng = np.random.default_rng(2)
    points = np.array(list(itertools.product([-0.5, 0.5], repeat=4)))
    pairs = list(itertools.combinations(range(4), 2))
    terms = np.hstack([points, np.stack([points[:, a] * points[:, b] for a, b in pairs], axis=1)])
    design, blocks = np.repeat(terms, 5, axis=0), [*range(5)] * 16
    found, num = np.zeros(10), 1000
    for _ in range(num):
        shared = rng.normal(scale=math.sqrt(0.2), size=5)
        noise = rng.normal(scale=math.sqrt(0.8), size=(16, 5))
        values = (points @ [1.0, 0.5, 0.0, 0.0])[:, None] + shared + noise
        tests = [effect.test for effect in fit_blocks(design, values.reshape(-1), blocks).effects if effect]
        p = [test.p or 0.0 for test in tests if test]
        found += np.array([*holm(p[:4]), *holm(p[4:])]) < 0.05
    shares = found / num
    assert shares[0] > 0.97 and 0.38 < shares[1] < 0.65
    assert (shares[2:] < 0.045).all()
