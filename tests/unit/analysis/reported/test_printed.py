"""Printed numbers: their value, and what rounds to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.reported.printed import Printed, Span


@pytest.mark.parametrize(
    ("text", "value", "half_unit"),
    [
        ("0.186", 0.186, 0.0005),
        (".186", 0.186, 0.0005),
        ("2,488", 2488, 0.5),
        ("35.4 %", 0.354, 0.0005),
        ("30%", 0.3, 0.005),
        ("−0.0353", -0.0353, 0.00005),
        ("1e-4", 1e-4, 0.5e-4),
        ("1.50e3", 1500, 5),
    ],
)
def test_the_digits_count(text: str, value: float, half_unit: float) -> None:
    found = Printed.parse(text)
    assert found.value == pytest.approx(value)
    assert found.half_unit == pytest.approx(half_unit)


@pytest.mark.parametrize("text", ["", "ten", "1.2.3", "8-12", "5 hours"])
def test_what_is_no_number_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="is no printed number"):
        Printed.parse(text)


@given(st.floats(-1e4, 1e4), st.integers(0, 6))
def test_a_number_rounds_to_how_it_is_printed(value: float, decimals: int) -> None:
    assert Printed.parse(f"{value:.{decimals}f}").holds(value)
    assert not Printed.parse(f"{value:.{decimals}f}").holds(value + 1.1 * 10**-decimals)


@pytest.mark.parametrize(
    ("text", "ends"), [("~35-55", (35, 55)), ("8 to 12", (8, 12)), ("8-9%", (0.08, 0.09)), ("7", (7, 7))]
)
def test_a_range_has_two_ends_and_a_number_has_one(text: str, ends: tuple[float, float]) -> None:
    found = Span.parse(text)
    assert (found.first.value, found.last.value) == pytest.approx(ends)
