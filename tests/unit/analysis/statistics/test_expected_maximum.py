"""The best of several, against published tables, scipy's quadrature and all subsets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from analysis.statistics.expected_maximum import of_normals, tang

SCORES = [0.70, 0.72, 0.75, 0.80, 0.81]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, 0.0),
        (2, 0.56419),
        (3, 0.84628),
        (5, 1.16296),
        (7, 1.35218),
        (10, 1.53875),
        (20, 1.86748),
        (100, 2.50759),
    ],
)
def test_of_normals_it_is_tippetts_table(count: int, expected: float) -> None:
    """Tippett (1925), and Harter (1961), Biometrika 48:151-165, to five decimals."""
    assert of_normals(count) == pytest.approx(expected, abs=6e-6)
    exact, _ = integrate.quad(lambda x: x * count * stats.norm.pdf(x) * stats.norm.cdf(x) ** (count - 1), -12, 12)
    assert of_normals(count) == pytest.approx(exact, abs=1e-9)


def test_the_estimate_is_that_of_the_authors_program() -> None:
    """Tang et al. (2020)."""
    assert [tang(SCORES, n) for n in range(1, 6)] == pytest.approx([0.756, 0.786, 0.801, 0.808, 0.810], abs=5e-7)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=6), st.integers(1, 3))
def test_it_is_the_mean_over_all_draws(values: list[float], draws: int) -> None:
    drawn = [max(each) for each in itertools.combinations(values, draws)]
    assert tang(values, draws) == pytest.approx(float(np.mean(drawn)), abs=1e-9)


def test_failures_are_smaller_than_all() -> None:
    values = [-math.inf, -math.inf, 1.0, 3.0]
    assert tang(values, 2) == -math.inf, "a draw may hold two failures"
    assert tang(values, 3) == pytest.approx(np.mean([1.0, 3.0, 3.0, 3.0]))
    assert tang(values, 4) == 3.0


def test_what_cannot_be_drawn_is_refused() -> None:
    for call in (lambda: of_normals(0), lambda: tang([1.0], 0), lambda: tang([1.0], 2), lambda: tang([], 1)):
        with pytest.raises(ValueError, match=r"at least|without replacement"):
            call()
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite or -inf"):
            tang([1.0, value], 1)
