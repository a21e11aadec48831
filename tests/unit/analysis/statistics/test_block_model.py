"""The linear model with blocks, against the paired t-test and least squares written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.block_model import fit_blocks
from analysis.statistics.inference import mean_interval


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


def test_seeds_that_differ_in_an_effect_are_noticed() -> None:
    """A third of the arms' copies adds degrees of freedom, and no knowledge of how seeds differ."""
    points = np.array(list(itertools.product([-0.5, 0.5], repeat=3)))
    own = np.array([2.0, 1.0, -1.0, 3.0])
    rng = np.random.default_rng(3)
    values = points[:, :1] * own + points[:, 1:2] + 0.01 * rng.normal(size=(8, 4))
    first, second, _ = fit_blocks(np.repeat(points, 4, axis=0), values.reshape(-1), [*range(4)] * 8).effects
    assert first is not None and second is not None and first.over_blocks is not None
    assert first.p_of_blocks is not None and first.p_of_blocks < 1e-6
    assert second.p_of_blocks is not None and second.p_of_blocks > 0.05
    expected = stats.ttest_1samp(own, 0.0)
    assert first.over_blocks.p == pytest.approx(expected.pvalue, abs=0.01)
