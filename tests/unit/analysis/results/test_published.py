"""The published logs: their columns, which split they show, and whose rows they are."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from analysis.records.journal import merge
from analysis.results.published import METRIC_KEYS, SYSTEM_COLUMNS, metric_rows, system_logs
from tests.support.sweeps.journals import config_id, journal_events
from trainables.tasks.retrieval.records import Origin, cell_lines

STATE = merge(journal_events({"rope": 2.5, "hybrid": 2.4}, seeds=range(2), statuses={("hybrid", 1): "crashed"}))
assert STATE.sweep is not None
SWEEP = STATE.sweep


def table(length: int) -> str:
    """Return what a retrieval task leaves of one answered item."""
    scores = {"exact_match": 1.0, "f1": 0.5, "digit_accuracy": 0.25}
    answered: Any = SimpleNamespace(
        item=SimpleNamespace(labels={"length": length, "depth": 0.5}), scores=scores, seconds=2.0
    )
    return cell_lines([answered], Origin(task="niah", mode="pi_spiral", seed=9), "digit_accuracy")


def test_rows_have_the_documented_keys_and_the_arm_as_their_mode() -> None:
    rows = list(metric_rows(STATE, SWEEP, lambda key: {"niah_test_metrics.jsonl": table(128)}))
    assert [(row["mode"], row["seed"]) for row in rows] == [("rope", 0), ("rope", 1), ("hybrid", 0)]
    assert all(tuple(row) == METRIC_KEYS for row in rows)
    assert rows[0] == {
        "task": "niah", "length": 128, "depth": 0.5, "mode": "rope", "accuracy": 0.25, "em": 1.0, "f1": 0.5,
        "seed": 0, "runtime": 2.0,
    }  # fmt: skip


def test_validation_is_shown_only_of_tasks_without_a_test_split() -> None:
    texts = {
        "niah_val_metrics.jsonl": table(1),
        "niah_test_metrics.jsonl": table(2),
        "ruler_val_metrics.jsonl": table(3),
        "samples.txt": "no table",
    }
    rows = [
        row for row in metric_rows(STATE, SWEEP, lambda key: texts) if (row["mode"], row["seed"]) == ("rope", 0)
    ]
    assert [row["length"] for row in rows] == [2, 3]


def test_system_rows_are_reports_with_the_replicates_peak() -> None:
    known = {"task.context_length": 256, "architecture.attention_window": 64}
    logs = list(system_logs(STATE, SWEEP, lambda arm: known if arm.arm == "hybrid" else {}))
    assert [(log.arm, log.seed) for log in logs] == [("rope", 0), ("rope", 1), ("hybrid", 0)]
    replicate = STATE.replicates[config_id("hybrid"), 0]
    assert [row[0] for row in logs[2].rows] == [point.step for point in replicate.reports]
    assert {row[1:3] for row in logs[2].rows} == {(256, replicate.peak_memory_mib)}
    assert {(row[1], row[4]) for row in logs[0].rows} == {(None, None)}
    assert len(SYSTEM_COLUMNS) == len(logs[0].rows[0])


def test_a_table_is_json_a_line() -> None:
    assert json.loads(table(4))["items"] == 1
