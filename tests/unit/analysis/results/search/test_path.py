"""The path as a table: what chose a step and what fresh seeds say of it stand apart."""

from __future__ import annotations

import pytest

from analysis.records.journal import merge
from analysis.results.arms import summarise
from analysis.results.search.path import PathTable, path_table
from tests.support.sweeps.search_journal import path_events


def found(last: int | None = None) -> PathTable:
    state = merge(path_events()[:last])
    assert state.sweep is not None and state.sweep.search is not None
    return path_table(state, state.sweep.search)


def test_each_step_has_its_field_and_the_numbers_of_either_kind() -> None:
    table = found()
    assert table.is_walked and [(row.step, row.field, row.value) for row in table.rows] == [
        (0, "", None),
        (1, "architecture.coupling", 1.0),
        (2, "architecture.dt", 0.5),
    ]
    assert [row.mean_search for row in table.rows] == [None, pytest.approx(1.7), None]
    assert [row.n_tried for row in table.rows] == [0, 2, 1]
    assert [sorted(row.values) for row in table.rows] == [["2", "3", "4"]] * 3, "fresh seeds only"
    assert table.rows[2].arm == "kuramoto" and table.rows[2].mean == pytest.approx(2.1), "the winner"


def test_steps_are_compared_with_those_before_on_fresh_seeds() -> None:
    begin, coupling, last = found().rows
    assert begin.delta is None and coupling.mean is not None and begin.mean is not None and last.mean is not None
    assert coupling.delta == pytest.approx(coupling.mean - begin.mean) == pytest.approx(-0.4)
    assert last.delta == pytest.approx(last.mean - coupling.mean)
    named = [(row.arm, row.against) for row in summarise(merge(path_events())).contrasts]
    assert named == [("kuramoto+coupling", "kuramoto+nothing"), ("kuramoto", "kuramoto+coupling")]


def test_while_it_is_walked_nothing_is_compared() -> None:
    number = next(i for i, event in enumerate(path_events()) if event["event"] == "flipped")
    table = found(number + 1)
    assert not table.is_walked and [row.mean for row in table.rows] == [None, None]
    assert summarise(merge(path_events()[: number + 1])).contrasts == ()
