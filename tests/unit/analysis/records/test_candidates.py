"""A search in a journal: candidates are born, climb and win; numbers that selected stay apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analysis.records.description import JournalError
from analysis.records.journal import JournalState, merge, parse_line
from analysis.results.arms import summarise
from analysis.results.searches import best_of, selection_metrics
from tests.journals import EPOCH, METRIC, sweep_event

SEARCH = {
    "method": "tpe",
    "metric": METRIC,
    "subset_metric": METRIC.replace("val/", "val_subset/"),
    "direction": "minimise",
    "arms": [{"arm": "kuramoto", "search": "abc", "fields": ["architecture.coupling"]}],
    "rungs": [{"steps": 10, "seeds": 1}, {"steps": 40, "seeds": 1}, {"steps": 40, "seeds": 2}],
    "eta": 2,
    "seeds": [0, 1],
    "confirm_seeds": [2, 3, 4],
    "replicates": 4,
    "configurations": None,
}


def event(name: str, number: int, /, **fields: Any) -> dict[str, Any]:
    return {"time": EPOCH + number, "sweep_id": "20261122-a", "event": name, **fields}


def born(number: int, config_id: str) -> dict[str, Any]:
    return event(
        "proposed",
        1 + number,
        search="abc",
        arm="kuramoto",
        number=number,
        config_id=config_id,
        by="sobol",
        point={"architecture.coupling": float(number)},
        parameters={"architecture.coupling": float(number)},
        num_parameters=100,
        predicted_memory_mib=400.0,
        data_hash="d",
    )


def trained(config_id: str, seed: int, at: int, scores: dict[int, float], status: str) -> list[dict[str, Any]]:
    key = {"config_id": config_id, "seed": seed}
    events = [event("started", at, **key, step=0, numerics={}, host="h", pid=1)]
    for step, score in scores.items():
        metrics = {SEARCH["subset_metric"]: score, **({METRIC: score} if step == 40 else {})}
        events.append(event("report", at + 1, **key, step=step, metrics=metrics))
    return [*events, event(status, at + 2, **key, step=max(scores, default=0), seconds=1.0, cpu_seconds=1.0)]


def state() -> JournalState:
    described = sweep_event({"baseline": 2.5, "kuramoto": 2.5}, seeds=[2, 3, 4], search=SEARCH)
    described["arms"][1]["seeds"] = []
    events = [described, born(0, "a" * 12), born(1, "b" * 12), born(2, "c" * 12)]
    events += trained("a" * 12, 0, 10, {10: 2.0}, "pruned")
    events += trained("b" * 12, 0, 20, {10: 1.9, 40: 1.5}, "finished")
    events += trained("c" * 12, 0, 30, {}, "diverged")
    events += [
        event("promoted", 25, search="abc", config_id="b" * 12, rung=rung, loss=1.9, rank=1, of=2) for rung in (1,)
    ]
    events += [event("promoted", 40, search="abc", config_id="b" * 12, rung=2, loss=1.5, rank=1, of=1)]
    events += trained("b" * 12, 1, 50, {10: 1.8, 40: 1.7}, "finished")
    events += [
        event("selected", 60, search="abc", config_id="b" * 12, loss=1.6, seeds=2, reason="the budget is spent")
    ]
    for seed, score in ((2, 2.0), (3, 2.1), (4, 2.2)):
        events += trained("b" * 12, seed, 70, {40: score}, "finished")
    return merge(json.loads(json.dumps(events)))


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
