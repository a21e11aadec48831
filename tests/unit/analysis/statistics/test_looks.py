"""Looks: nulls are found no more often than the level says, and an effect more often than by few seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.inference import holm
from analysis.statistics.looks import LEVEL, at_look, confidence_at_look

LOOKS, SHARES = (5, 10, 20), (0.2, 0.2, 0.6)


def differences(num: int, effect: float, seed: int = 0) -> np.ndarray:
    """Return normal differences of standard deviation 1."""
    return np.random.default_rng(seed).normal(effect, 1.0, (num, LOOKS[-1]))


def settled_by(drawn: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return the number of seeds after which a paired t-test settles each comparison; 0 where none does."""
    settled = np.zeros(len(drawn), dtype=int)
    for n, share in zip(LOOKS, shares, strict=True):
        p = stats.ttest_1samp(drawn[:, :n], 0.0, axis=1).pvalue
        settled[(settled == 0) & [at_look(one, share) < LEVEL for one in p]] = n
    return settled


def test_under_the_null_looks_find_no_more_than_the_level() -> None:
    found = settled_by(differences(20_000, 0.0), SHARES) > 0
    assert 0.036 <= found.mean() <= 0.05
    naive = settled_by(differences(20_000, 0.0), [1.0] * 3) > 0
    assert naive.mean() > 0.09, "looking thrice at the whole level finds twice as much"


def test_looks_find_more_than_five_seeds_and_need_fewer_than_twenty() -> None:
    drawn = differences(4_000, 1.0)
    settled = settled_by(drawn, SHARES)
    five = stats.ttest_1samp(drawn[:, :5], 0.0, axis=1).pvalue < LEVEL
    twenty = stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < LEVEL
    assert (settled > 0).mean() > five.mean() + 0.3 and (settled > 0).mean() > twenty.mean() - 0.05
    assert np.where(settled > 0, settled, LOOKS[-1]).mean() < 15


def test_of_several_finalists_holm_claims_no_more_than_one_test() -> None:
    """2,500 nulls: three finalists beside one baseline, on the same ten fresh seeds."""
    drawn = np.random.default_rng(2).normal(size=(2_500, 4, 10))
    p = stats.ttest_rel(drawn[:, 1:], drawn[:, :1], axis=2).pvalue
    plain = (p < LEVEL).any(axis=1).mean()
    adjusted = np.mean([min(holm(list(row))) < LEVEL for row in p])
    assert adjusted <= LEVEL + 0.005 and plain > 0.09


def test_the_interval_of_a_look_is_the_wider_one() -> None:
    assert confidence_at_look(0.95, 0.2) == pytest.approx(0.99)
    assert confidence_at_look(0.95, 1.0) == 0.95 and at_look(0.3, 0.2) == 1.0
