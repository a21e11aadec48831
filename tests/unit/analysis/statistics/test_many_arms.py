"""Ranks and false discovery rates against the authors' examples, R's and statsmodels'."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from analysis.statistics.inference import holm
from analysis.statistics.many_arms import critical_difference, false_discovery, friedman

ROUNDING = np.array(
    [
        (5.40, 5.50, 5.55), (5.85, 5.70, 5.75), (5.20, 5.60, 5.50), (5.55, 5.50, 5.40), (5.90, 5.85, 5.70),
        (5.45, 5.55, 5.60), (5.40, 5.40, 5.35), (5.45, 5.50, 5.35), (5.25, 5.15, 5.00), (5.85, 5.80, 5.70),
        (5.25, 5.20, 5.10), (5.65, 5.55, 5.45), (5.60, 5.35, 5.45), (5.05, 5.00, 4.95), (5.50, 5.50, 5.40),
        (5.45, 5.55, 5.50), (5.55, 5.55, 5.35), (5.45, 5.50, 5.55), (5.50, 5.45, 5.25), (5.65, 5.60, 5.40),
        (5.70, 5.65, 5.55), (6.30, 6.30, 6.25),
    ]
)  # fmt: skip
"""Hollander & Wolfe (1973): seconds of 22 players to round first base in three ways; R's `?friedman.test`."""

C45 = np.array(
    [
        (0.763, 0.768, 0.771, 0.798), (0.599, 0.591, 0.590, 0.569), (0.954, 0.971, 0.968, 0.967),
        (0.628, 0.661, 0.654, 0.657), (0.882, 0.888, 0.886, 0.898), (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685), (0.583, 0.583, 0.563, 0.625), (0.775, 0.838, 0.866, 0.875),
        (1.000, 1.000, 1.000, 1.000), (0.940, 0.962, 0.965, 0.962), (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.9752, 0.975), (0.957, 0.978, 0.946, 0.970),
    ]
)  # fmt: skip
"""Demšar (2006), table 6: four variants of C4.5 on 14 data sets. Of the two .975 of one row the first ranks higher,
as the published mean ranks need."""

BENJAMINI_HOCHBERG = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
    1.0,
]  # fmt: skip
"""Benjamini & Hochberg (1995), section 4.1: 15 endpoints of a trial of myocardial infarction."""


def test_the_statistic_is_that_of_rs_example() -> None:
    """R: Friedman chi-squared = 11.143, df = 2."""
    found = friedman(ROUNDING, better="lower")
    assert found is not None
    assert found.chi_squared == pytest.approx(11.143, abs=5e-4)
    f = 21 * found.chi_squared / (44 - found.chi_squared)
    assert 0.001 < found.p < 0.004  # Iman and Davenport's is below the 0.003805 of χ²
    assert f == pytest.approx(7.12, abs=0.01)


def test_ranks_and_critical_difference_are_demsars() -> None:
    found = friedman(C45, better="higher")
    assert found is not None
    assert found.mean_ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    ranks = np.array(found.mean_ranks)
    assert 12 * 14 / 20 * ((ranks**2).sum() - 25) == pytest.approx(9.28, abs=0.005)
    assert found.chi_squared >= 9.28  # corrected for ties, which his is not
    assert friedman(-C45, better="lower") == found


@pytest.mark.parametrize(
    ("arms", "quantile"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_quantiles_are_those_of_demsars_table(arms: int, quantile: float) -> None:
    """Table 5a, q at .05."""
    assert critical_difference(arms, 30) == pytest.approx(quantile * np.sqrt(arms * (arms + 1) / 180), abs=1e-3)


def test_with_too_little_there_is_no_test() -> None:
    assert friedman(np.ones((3, 3)), better="higher") is None
    assert friedman(C45[:1], better="higher") is None
    assert friedman(C45[:, :2], better="higher") is None


def test_where_all_blocks_agree_p_is_not_zero() -> None:
    found = friedman(np.array([[1.0, 2, 3]] * 4), better="higher")
    assert found is not None
    assert (found.mean_ranks, found.chi_squared) == ((3.0, 2.0, 1.0), 8.0)
    assert found.p == pytest.approx(np.exp(-4))  # χ² with 2 degrees of freedom


def test_four_of_fifteen_are_discovered_where_three_are_safe_from_any_error() -> None:
    assert sum(p <= 0.05 for p in false_discovery(BENJAMINI_HOCHBERG, dependent=False)) == 4
    assert sum(p <= 0.05 for p in false_discovery(BENJAMINI_HOCHBERG, dependent=True)) == 3
    assert sum(p <= 0.05 for p in holm(BENJAMINI_HOCHBERG)) == 3
    assert holm(BENJAMINI_HOCHBERG) == pytest.approx(multipletests(BENJAMINI_HOCHBERG, method="holm")[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_values_are_those_of_statsmodels(p_values: list[float]) -> None:
    for dependent, method in ((False, "fdr_bh"), (True, "fdr_by")):
        expected = multipletests(p_values, method=method)[1]
        assert false_discovery(p_values, dependent=dependent) == pytest.approx(expected, abs=1e-12)


def test_of_no_values_there_are_none() -> None:
    assert false_discovery([], dependent=True) == []
