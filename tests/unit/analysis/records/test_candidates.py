"""A search in a journal: candidates are born, climb and win; numbers that selected stay apart."""

from __future__ import annotations

import json

import pytest

from analysis.records.description import JournalError
from analysis.records.journal import JournalState, merge, parse_line
from analysis.results.arms import summarise
from analysis.results.searches import best_of, selection_metrics
from tests.support.sweeps.journals import METRIC, sweep_event
from tests.support.sweeps.search_journal import born, search_events


def state() -> JournalState:
    return merge(json.loads(json.dumps(search_events())))


def test_the_winner_stands_for_its_arm_with_its_fresh_seeds_only() -> None:
    sweep = state().sweep
    assert sweep is not None
    baseline, winner = sweep.arms
    assert (winner.arm, winner.config_id, winner.seeds) == ("kuramoto", "b" * 12, (2, 3, 4))
    assert [one.arm for one in sweep.candidates] == ["kuramoto#0", "kuramoto#1", "kuramoto#2"]
    assert [one.seeds for one in sweep.candidates] == [(0,), (0, 1), (0,)]
    assert {one.config_id for one in sweep.units} >= {"a" * 12, baseline.config_id}


def test_tables_and_metrics_keep_selected_numbers_apart() -> None:
    row = next(row for row in summarise(state()).rows if row.arm == "kuramoto")
    assert row.values == {2: 2.0, 3: 2.1, 4: 2.2}, "the seeds that selected it are not among them"
    assert summarise(state()).stale == 0
    selected = selection_metrics(state())["b" * 12]
    assert selected == {f"selection/{METRIC}": 1.6, "selection/rung": 2.0, "selection/n_seeds": 2.0}


def test_best_ranks_by_rung_and_then_by_mean() -> None:
    found = state()
    assert found.sweep is not None and found.sweep.search is not None
    table = best_of(found, found.sweep.search)
    assert [(row.number, row.rung, row.mean_search, row.status) for row in table.rows] == [
        (1, 2, pytest.approx(1.6), "winner"),
        (0, 0, 2.0, "stopped"),
        (2, None, None, "failed"),
    ]
    assert [(rung.n_scored, rung.n_failed) for rung in table.rungs] == [(2, 1), (1, 0), (1, 0)]
    (search,) = table.searches
    assert search.spent_replicates == pytest.approx((10 + 40 + 40) / 40)
    assert search.confirmed is not None and search.confirmed.mean == pytest.approx(2.1)


def test_a_journal_without_a_search_has_no_candidates() -> None:
    plain = merge([sweep_event()])
    assert plain.sweep is not None and plain.sweep.search is None and plain.sweep.candidates == ()
    assert selection_metrics(plain) == {}


def test_an_event_of_a_search_needs_its_keys() -> None:
    line = {key: value for key, value in born(0, "a" * 12).items() if key != "point"}
    with pytest.raises(JournalError, match="'proposed' lacks point"):
        parse_line(json.dumps(line), where="a.jsonl:2")
