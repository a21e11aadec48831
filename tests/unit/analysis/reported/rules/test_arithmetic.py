"""Numbers that follow from others, against plain arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.reported.printed import Printed, Span
from analysis.reported.rules.arithmetic import convex, order, product, relative_change, superlative, total


@given(st.floats(1, 1e4), st.floats(1, 1e4), st.integers(1, 3))
def test_a_change_that_was_computed_is_never_refused(before: float, after: float, decimals: int) -> None:
    change = Printed.parse(f"{100 * (after - before) / before:.{decimals}f} %")
    assert relative_change(change, Printed.parse(f"{before:.4f}"), Printed.parse(f"{after:.4f}")) is None


@pytest.mark.parametrize(
    ("change", "before", "after", "truth"),
    [
        ("29.7%", "2488", "1607", "35.41 %"),
        ("35.4%", "2488", "1607", None),
        ("−35.4 %", "2488", "1607", None),  # the sign may be given or not
        ("2.4%", "4.97", "4.85", None),
        ("2.8%", "4.97", "4.85", "2.41 %"),
    ],
)
def test_a_change_is_over_the_value_before(change: str, before: str, after: str, truth: str | None) -> None:
    found = relative_change(*map(Printed.parse, (change, before, after)))
    assert (found is None) == (truth is None)
    assert truth is None or truth in str(found)


def test_a_product_and_an_order_hold_or_do_not() -> None:
    four, each, all_of, room = map(Printed.parse, ("4", "36", "144", "94.5"))
    assert product(all_of, [four, each]) is None
    assert product(Printed.parse("120"), [four, each]) == "4 × 36 is 144, not 120"
    assert order(all_of, room) is None
    assert order(room, all_of) == "94.5 is not more than 144"


def test_a_total_of_ranges_adds_both_ends() -> None:
    terms = [Span.parse(text) for text in ("1-2", "2-4", "8-12", "6-10", "2-4", "6-8", "2-4", "4-6", "2-4", "1-2")]
    assert total(Span.parse("~35-55"), terms) == "the 10 terms add to 34 to 56, not ~35-55"
    assert total(Span.parse("34-56"), terms) is None
    assert total(Span.parse("6"), [Span.parse(text) for text in ("1", "2", "3")]) is None
    assert total(Span.parse("7"), [Span.parse(text) for text in ("1", "2", "3")]) == "the 3 terms add to 6, not 7"


def test_shares_add_to_one_or_a_constant_is_amplified() -> None:
    found = convex(Printed.parse("0.3"), Printed.parse("0.85"), "30 % new")
    assert found == "“30 % new” is no mixture: 0.3 + 0.85 = 1.15; a constant is multiplied by 2"
    assert convex(Printed.parse("0.3"), Printed.parse("0.7"), "30 % new") is None


def test_the_best_is_not_surpassed_beyond_rounding() -> None:
    best, others = Printed.parse("2.22"), [Printed.parse(text) for text in ("2.13", "2.30", "2.09")]
    assert superlative(best, others, "lower") == "2.22 is called the best beside 2.13, 2.09"
    assert superlative(best, others, "higher") == "2.22 is called the best beside 2.30"
    assert superlative(best, [Printed.parse("2.22"), Printed.parse("2.4")], "lower") is None
    assert superlative(best, [Printed.parse("2.2")], "lower") is None  # 2.2 may be 2.24
