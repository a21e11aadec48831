"""Differences of rates against Newcombe's own table, rates against the published Wilson intervals."""

from __future__ import annotations

import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from analysis.statistics.proportions import jeffreys, newcombe, wilson


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((0, 10, 0, 10), (-0.2775, 0.2775)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_differences_are_those_of_newcombes_table(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    """Newcombe (1998), Statistics in Medicine 17:873-890, table II, method 10."""
    found = newcombe(*counts)
    assert (found.low, found.high) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("hits", "expected"), [(0, (0.0, 0.01885)), (21, (0.06971, 0.15518)), (37, (0.13730, 0.24457))]
)
def test_rates_are_the_published_ones(hits: int, expected: tuple[float, float]) -> None:
    assert wilson(hits, 200) == pytest.approx(expected, abs=6e-6)
    low, high = wilson(200 - hits, 200)
    assert (1 - high, 1 - low) == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize(
    ("hits", "expected"), [(0, (0.0, 0.01247)), (21, (0.06820, 0.15312)), (37, (0.13591, 0.24312))]
)
def test_jeffreys_intervals_are_the_published_ones(hits: int, expected: tuple[float, float]) -> None:
    assert jeffreys(hits, 200) == pytest.approx(expected, abs=6e-6)
    low, high = jeffreys(200 - hits, 200)
    assert (1 - high, 1 - low) == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize(("hits", "items"), [(1, 5), (4, 5), (37, 200), (200, 1000)])
def test_rates_are_those_of_statsmodels(hits: int, items: int) -> None:
    assert wilson(hits, items) == pytest.approx(proportion_confint(hits, items, method="wilson"), abs=1e-12)
    assert jeffreys(hits, items) == pytest.approx(proportion_confint(hits, items, method="jeffreys"), abs=1e-9)
    found = newcombe(hits, items, items - hits, 2 * items, confidence=0.9)
    other = confint_proportions_2indep(hits, items, items - hits, 2 * items, method="newcomb", alpha=0.1)
    assert (found.low, found.high) == pytest.approx(other, abs=1e-9)


def test_no_hit_on_either_side_is_known_to_within_four_in_a_thousand() -> None:
    found = newcombe(0, 1000, 0, 1000)
    assert (found.low, found.high) == pytest.approx((-0.0038, 0.0038), abs=5e-5)
    assert newcombe(0, 1000, 0, 1000, confidence=0.5).high < found.high
