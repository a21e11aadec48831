"""A search as cells: rungs, candidates, and what to be careful with."""

from __future__ import annotations

from dataclasses import replace

from analysis.records.journal import merge
from analysis.report.search.tables import (
    RUNG_HEADERS,
    candidate_cells,
    candidate_headers,
    expected_best,
    headline,
    notes,
    rung_cells,
    setting,
    short,
    short_names,
)
from analysis.results.candidates import ArmCandidates, candidates_of
from analysis.results.search.expected_best import BestOf, ExpectedBest
from tests.support.sweeps.search_journal import search_events


def found() -> ArmCandidates:
    (only,) = candidates_of(merge(search_events()))
    return only


def test_each_rung_says_how_many_were_scored_failed_and_climbed() -> None:
    rows = [dict(zip(RUNG_HEADERS, cells, strict=True)) for cells in rung_cells(found())]
    assert [(row["scored"], row["failed"], row["climbed on"]) for row in rows] == [
        ("2", "1", "1"),
        ("1", "0", "1"),
        ("1", "0", "0"),
    ]
    assert rows[0]["rank correlation with the next"] == "–", "of one pair"


def test_every_cell_has_a_header() -> None:
    headers, right = candidate_headers(found())
    assert len(headers) == len(right) == len(set(headers))
    assert {len(cells) for cells in candidate_cells(found())} == {len(headers)}


def test_the_headline_says_what_was_spent_and_why_it_is_over() -> None:
    assert headline(found().search) == (
        "search of kuramoto, tpe: 3 candidates, 2.25 of 4 replicates spent; over, the budget is spent"
    )


def test_notes_name_both_kinds_of_seeds() -> None:
    said = " ".join(notes(found()))
    assert "first of the seeds 0, 1; they chose the winner" in said and "fresh seeds 2, 3, 4" in said


def test_the_expected_best_is_said_with_what_it_is_of_or_why_not() -> None:
    search = found().search
    assert expected_best(search) == (
        "best of n random candidates, expected: not known, 3 of 3 candidates are random or from Sobol, and 4 are "
        "needed"
    )
    known = ExpectedBest(
        steps=50,
        seeds=1,
        n_random=8,
        n_failed=0,
        refused=None,
        best_of=(BestOf(n=1, expected=2.67), BestOf(n=2, expected=2.6)),
    )
    assert expected_best(replace(search, expected_best=known)) == (
        "best of n random candidates, expected: n = 1: 2.670, n = 2: 2.600 (step 50, 1 seed, from 8); selected, so "
        "too good as a result"
    )


def test_names_are_short_where_that_is_clear() -> None:
    assert short_names(("optimizer.learning_rate", "architecture.dt")) == ["learning_rate", "dt"]
    assert short_names(("optimizer.dt", "architecture.dt")) == ["optimizer.dt", "architecture.dt"]
    assert [short(value) for value in (0.0123456, 3, True, None, "gelu")] == ["0.01235", "3", "True", "–", "gelu"]


def test_a_setting_that_changes_is_shown_with_its_steps() -> None:
    changes = ({"from_step": 1500, "learning_rate": 0.02},)
    point = {"optimizer.learning_rate": 0.012345, "architecture.coupling": 2, "optimizer.changes": changes}
    shown = [setting(point, f"{name}") for name in ("optimizer.learning_rate", "architecture.coupling", "other")]
    assert shown == ["0.01235, 0.02 from 1,500", "2", "–"]
