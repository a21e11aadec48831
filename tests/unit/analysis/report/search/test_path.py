"""The path as text and as a figure: what selected and fresh seeds stand apart."""

from __future__ import annotations

import pytest

from analysis.records.journal import merge
from analysis.report.search.path import cells, headers, notes, path_figure, records
from analysis.results.search.path import PathTable, path_table
from tests.support.sweeps.search_journal import path_events


def found(last: int | None = None) -> PathTable:
    state = merge(path_events()[:last])
    assert state.sweep is not None and state.sweep.search is not None
    return path_table(state, state.sweep.search)


def test_selection_and_fresh_seeds_have_columns_of_their_own() -> None:
    table = found()
    rows = [dict(zip(headers(table), row, strict=True)) for row in cells(table)]
    assert [row["selected on 0, 1"] for row in rows] == ["–", "1.700", "–"]
    assert rows[1]["fresh seeds 2, 3, 4"].startswith("2.397 [")
    assert rows[1]["field"] == "coupling" and rows[0]["field"] == "own settings"
    assert "selected, so it is too good" in notes(table)[0]


def test_the_figure_and_its_data_have_fresh_seeds_only() -> None:
    table = found()
    axes = path_figure(table).axes[0]
    drawn = {round(float(x), 6) for line in axes.lines for x in line.get_xdata()}
    assert 1.7 not in drawn and {2.2, 2.1} < drawn | {2.2}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["own settings", "coupling = 1", "dt = 0.5"]
    assert [row[4] for row in records(table)] == [row.mean for row in table.rows]


def test_while_it_is_walked_there_is_nothing_to_draw() -> None:
    number = next(i for i, event in enumerate(path_events()) if event["event"] == "flipped")
    table = found(number + 1)
    assert "has not come to the winner yet" in notes(table)[0]
    with pytest.raises(ValueError, match="no value on fresh seeds"):
        path_figure(table)
