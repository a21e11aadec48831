"""What a configuration leaves out of its id."""

from __future__ import annotations

from trainables.schema import without_added


def test_an_added_field_at_its_value_of_before_is_left_out() -> None:
    added = {"window": 16, "pvm.shared": False, "plm.t2": None}
    before = {"d_model": 8, "window": 16, "pvm": {"alpha": 0.3, "shared": False}, "plm": None}
    assert without_added(before, added) == {"d_model": 8, "pvm": {"alpha": 0.3}, "plm": None}


def test_an_added_field_with_another_value_counts() -> None:
    added = {"window": 16, "pvm.shared": False}
    other = {"window": 8, "pvm": {"shared": True}}
    assert without_added(other, added) == other
    assert without_added({}, added) == {}
