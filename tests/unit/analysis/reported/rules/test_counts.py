"""Rates of whole counts, against every count that there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.reported.printed import Printed
from analysis.reported.rules.counts import count, parts


@given(st.integers(1, 300), st.data(), st.integers(1, 5))
def test_a_rate_that_was_counted_is_never_refused(items: int, data: st.DataObject, decimals: int) -> None:
    hits = data.draw(st.integers(0, items))
    printed = Printed.parse(f"{hits / items:.{decimals}f}")
    assert count(printed, items, hits) is None
    assert count(printed, items) is None


@given(st.integers(1, 60), st.integers(0, 999))
def test_a_rate_of_no_count_is_refused(items: int, thousandths: int) -> None:
    printed = f"{thousandths / 1000:.3f}"
    # Rounding halves up or down are both accepted, so they are on both sides here.
    sums = [abs(hits / items - thousandths / 1000) for hits in range(items + 1)]
    if min(sums) > 0.0005 + 1e-9:
        assert "no whole count rounds to it" in str(count(Printed.parse(printed), items))
    elif min(sums) < 0.0005:
        assert count(Printed.parse(printed), items) is None


def test_the_published_top_5_rate_is_no_count_of_200() -> None:
    """Brown & Heathers (2017): a mean of whole numbers is a multiple of 1/n."""
    wrong = count(Printed.parse("0.186"), 200, 37)
    assert wrong == "37/200 is 0.185, not 0.186, and no count of 200 rounds to it"
    assert count(Printed.parse("0.185"), 200, 37) is None
    assert count(Printed.parse("5.19"), 28) is not None  # their example, of 28 answers: 145/28 is 5.18, 146/28 5.21


def test_a_rate_of_parts_is_told_from_one_of_items() -> None:
    found = parts(Printed.parse("0.105"), Printed.parse("1.68"), 16, 200, [Printed.parse("0.186")])
    assert found is not None
    assert "0.105 is also 1.68/16" in found
    assert "84/800 and 149/800 fit all figures" in found


@pytest.mark.parametrize("mean_parts", ["2.11", "9.30"])
def test_items_that_are_right_in_part_are_no_finding(mean_parts: str) -> None:
    assert parts(Printed.parse("0.105"), Printed.parse(mean_parts), 16, 200) is None
