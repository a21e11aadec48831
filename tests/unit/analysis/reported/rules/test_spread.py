"""Means and deviations against samples: what was measured is never refused, what no sample has is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.reported.printed import Printed
from analysis.reported.rules.spread import (
    deviation_in_range,
    mean_in_range,
    sample_deviation,
    within_interval,
)

SAMPLES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


def printed(value: float, decimals: int) -> Printed:
    return Printed.parse(f"{value:.{decimals}f}")


@given(SAMPLES, st.integers(0, 4), st.sampled_from([0, 1]))
def test_a_real_sample_is_never_refused(values: list[float], decimals: int, ddof: int) -> None:
    low, high = printed(min(values), decimals), printed(max(values), decimals)
    assert mean_in_range(printed(float(np.mean(values)), decimals), low, high, len(values)) is None
    deviation = printed(float(np.std(values, ddof=ddof)), decimals)
    assert deviation_in_range(deviation, low, high, len(values)) is None


@pytest.mark.parametrize(
    ("mean", "wrong"), [("1650", "at least 1662.83"), ("1664", None), ("1776", None), ("1778", "at most 1777.17")]
)
def test_a_mean_of_three_has_the_published_limits(mean: str, wrong: str | None) -> None:
    """From 1550 to 1890, the third value at either end: (2·1550 + 1890)/3 = 1663.3, (1550 + 2·1890)/3 = 1776.7."""
    found = mean_in_range(Printed.parse(mean), Printed.parse("1550"), Printed.parse("1890"), 3)
    assert (found is None) == (wrong is None)
    assert wrong is None or wrong in str(found)


@pytest.mark.parametrize(
    ("deviation", "is_possible"), [("120", False), ("139", True), ("196", True), ("198", False)]
)
def test_a_deviation_of_three_lies_between_that_of_the_middle_and_that_of_the_ends(
    deviation: str, is_possible: bool
) -> None:
    """Range 340: with n at least 340/√6 = 138.8, with n − 1 at most that of (0, 0, 340), 196.3."""
    found = deviation_in_range(Printed.parse(deviation), Printed.parse("1550"), Printed.parse("1890"), 3)
    assert (found is None) == is_possible


@pytest.mark.parametrize(
    ("code", "is_wrong"),
    [
        ("np.std(ppls)", True),
        ("numpy.std(ppls, axis=0)", True),
        ("print(np.std(x))", True),
        ("np.std(ppls, ddof=1)", False),
        ("statistics.stdev(ppls)", False),
        ("frame.std()", False),
    ],
)
def test_numpy_divides_by_n_unless_told_otherwise(code: str, is_wrong: bool) -> None:
    found = sample_deviation(code, 3)
    assert (found is not None) == is_wrong
    assert found is None or "0.816 of the sample's deviation" in found


def test_no_python_is_an_error() -> None:
    with pytest.raises(ValueError, match="code: no Python"):
        sample_deviation("np.std(", 3)


@pytest.mark.parametrize(
    ("value", "ends", "wrong"),
    [
        ("3.101", ("2.993", "3.209"), None),
        ("3.21", ("2.993", "3.209"), None),  # rounds from 3.209
        ("3.22", ("2.993", "3.209"), "outside of its interval"),
        ("−0.07", ("−0.16", "+0.01"), None),
        ("0.07", ("−0.16", "+0.01"), "outside of its interval"),
        ("1", ("3", "2"), "ends before it begins"),
    ],
)
def test_an_estimate_lies_in_its_interval(value: str, ends: tuple[str, str], wrong: str | None) -> None:
    found = within_interval(Printed.parse(value), *map(Printed.parse, ends))
    assert (found is None) == (wrong is None)
    assert wrong is None or wrong in str(found)
