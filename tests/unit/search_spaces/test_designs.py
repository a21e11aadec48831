"""Designs of experiments: which points, in which order, and what each design refuses."""

from __future__ import annotations

import pytest

from search_spaces.designs import (
    DESIGNS,
    base_plus_one,
    fractional,
    full_factorial,
    leave_one_out,
    one_at_a_time,
    pairs,
    points,
)

LEVELS = {"a": [0, 1, 2], "b": ["x", "y"]}
SWITCHES = {"a": (False, True), "b": (0, 3), "c": ("off", "on")}


def test_full_factorial_is_every_combination_with_the_last_factor_fastest():
    assert full_factorial(LEVELS) == [
        {"a": 0, "b": "x"},
        {"a": 0, "b": "y"},
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_one_at_a_time_and_pairs_go_out_from_the_first_levels():
    alone = [{"a": 0, "b": "x"}, {"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 0, "b": "y"}]
    assert one_at_a_time(LEVELS) == alone
    assert pairs(LEVELS) == [*alone, {"a": 1, "b": "y"}, {"a": 2, "b": "y"}]


def test_base_plus_one_switches_each_component_on_alone():
    assert base_plus_one(SWITCHES) == [
        {"a": False, "b": 0, "c": "off"},
        {"a": True, "b": 0, "c": "off"},
        {"a": False, "b": 3, "c": "off"},
        {"a": False, "b": 0, "c": "on"},
    ]


def test_leave_one_out_switches_each_component_off_alone():
    assert leave_one_out(SWITCHES) == [
        {"a": True, "b": 3, "c": "on"},
        {"a": False, "b": 3, "c": "on"},
        {"a": True, "b": 0, "c": "on"},
        {"a": True, "b": 3, "c": "off"},
    ]


@pytest.mark.parametrize(
    ("factors", "resolution", "runs"),
    [(3, 3, 4), (7, 3, 8), (15, 3, 16), (4, 4, 8), (8, 4, 16), (16, 4, 32), (5, 5, 16), (8, 5, 64), (4, 9, 16)],
)
def test_fractions_have_the_runs_of_the_published_tables(factors, resolution, runs):
    """Box, Hunter & Hunter, table 6.22; the last is the full factorial."""
    assert len(fractional({f"x{i}": (0, 1) for i in range(factors)}, resolution)) == runs


def test_the_half_fraction_of_three_factors_is_the_textbook_one():
    chosen = fractional({"a": (-1, 1), "b": (-1, 1), "c": (-1, 1)})
    assert {point["a"] * point["b"] * point["c"] for point in chosen} == {-1}
    assert len({tuple(point.values()) for point in chosen}) == 4


@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_is_found_by_its_name(design):
    assert {"a": False, "b": 3, "c": "on"} in points(design, SWITCHES) or design in {
        "base_plus_one",
        "one_at_a_time",
        "fractional",
    }
    assert all(list(point) == list(SWITCHES) for point in points(design, SWITCHES))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: full_factorial({}), "at least one factor"),
        (lambda: one_at_a_time({"a": []}), "a needs at least one level"),
        (lambda: pairs({"a": [1, 1.0]}), "levels of a must differ"),
        (lambda: full_factorial({"a": [[6, 7], [6, 7]]}), "levels of a must differ"),
        (lambda: base_plus_one({"a": [0, 1, 2]}), "a needs two levels, off and on"),
        (lambda: leave_one_out({"a": [0]}), "a needs two levels, off and on"),
        (lambda: fractional({"a": [0, 1]}, 2), "resolution must be at least 3, got 2"),
        (lambda: points("pairs", {"a": [0, 1]}, resolution=3), "only a fractional design has a resolution"),
    ],
)
def test_what_a_design_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()
