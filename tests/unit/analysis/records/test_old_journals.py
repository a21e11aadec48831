"""Journals of format version 1, as they were first written, are read as ever: results outlive versions of this."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.records.compact import compact_journal
from analysis.records.description import JournalError
from analysis.records.journal import JournalState, parse_line, read_journal
from analysis.records.replicates import Key
from sweeps.store.reader import JournalReader
from tests.support.sweeps.guides import ROOT

JOURNAL = ROOT / "tests" / "fixtures" / "journal_v1"
"""Two drivers of the study `quickstart`: the first was interrupted, the second killed while it wrote a line.

The sweep's description and the replicate of the transformer with seed 0 are those of a real run; the rest was
written by the journal of that version. No file here may ever be written again.
"""
TRANSFORMER, COUPLED, UNCOUPLED, POOL = "6c0e97d1c078", "8fb78693e505", "7c06dac33561", "7d49daa55130"

STATUSES: dict[Key, str | None] = {
    (TRANSFORMER, 0): "finished",
    (TRANSFORMER, 1): None,  # crashed, and reopened to continue from its checkpoint
    (COUPLED, 0): "finished",  # preempted, and continued by the second driver
    (COUPLED, 1): "timed_out",
    (UNCOUPLED, 0): None,  # diverged, and reopened to start from its first step
    (UNCOUPLED, 1): "diverged",
    (POOL, 0): "oom",  # twice
    (POOL, 1): "crashed",
    (POOL, 2): "preempted",
}
STEPS: dict[Key, list[int]] = {
    (TRANSFORMER, 0): [50, 100, 150, 200, 250, 300],
    (TRANSFORMER, 1): [50],
    (COUPLED, 0): [50, 100, 150],
    (UNCOUPLED, 0): [50],
    (UNCOUPLED, 1): [50],
    (POOL, 0): [50],
}


@pytest.fixture(scope="module")
def state() -> JournalState:
    return read_journal(JOURNAL)


def test_every_replicate_has_its_status_and_its_curve(state: JournalState) -> None:
    assert {key: replicate.status for key, replicate in state.replicates.items()} == STATUSES
    steps = {key: [point.step for point in replicate.reports] for key, replicate in state.replicates.items()}
    assert {key: found for key, found in steps.items() if found} == STEPS


def test_the_description_is_that_of_the_newest_driver(state: JournalState) -> None:
    sweep = state.sweep
    assert sweep is not None
    assert (sweep.study, sweep.scale, sweep.primary_metric) == ("quickstart", "laptop", "val/bits_per_byte")
    assert [(arm.arm, arm.config_id, arm.role) for arm in sweep.arms] == [
        ("transformer", TRANSFORMER, "baseline"),
        ("kuramoto_K1", COUPLED, "treatment"),
        ("kuramoto_K0", UNCOUPLED, "control"),
        ("mean_pool", POOL, "control"),
    ]
    assert {arm.seeds for arm in sweep.arms} == {(0, 1, 2)}
    assert sweep.arms[0].predicted_memory_mib == 526.9


def test_numbers_of_a_result_are_exact(state: JournalState) -> None:
    replicate = state.replicates[TRANSFORMER, 0]
    assert replicate.final_metrics["train/loss"] == 2.2787968063354493
    assert (replicate.seconds, replicate.cpu_seconds) == (9.496918585999083, 9.082149201)
    assert replicate.peak_memory_mib == 623.16015625
    assert (replicate.starts, replicate.host, replicate.pid) == (1, "vm", 7493)
    assert replicate.numerics["torch"] == "2.13.0+cpu"


def test_a_continued_replicate_replaces_the_steps_that_it_repeats(state: JournalState) -> None:
    replicate = state.replicates[COUPLED, 0]
    assert [point.metrics["train/loss"] for point in replicate.reports] == [3.5, 2.8, 2.5]
    assert [attempt.first_step for attempt in replicate.attempts] == [0, 50]
    assert (replicate.starts, replicate.host, replicate.cap_mib) == (2, "node-2", None)


def test_ends_are_counted_by_their_kind(state: JournalState) -> None:
    pool, crashed = state.replicates[POOL, 0], state.replicates[POOL, 1]
    assert (pool.num_ooms, pool.starts, pool.cap_mib, pool.peak_memory_mib) == (2, 2, 700, 701.0)
    assert (crashed.crashes, crashed.message) == (1, "ValueError: boom")
    assert state.replicates[COUPLED, 1].message == "no report for 600 s; it hung at loop.py:88"


def test_what_was_reopened_keeps_its_curve_only_if_it_goes_on(state: JournalState) -> None:
    goes_on, afresh = state.replicates[TRANSFORMER, 1], state.replicates[UNCOUPLED, 0]
    assert (goes_on.reruns, [attempt.first_step for attempt in goes_on.attempts]) == (1, [0, 50])
    assert (afresh.reruns, [attempt.first_step for attempt in afresh.attempts]) == (1, [0])
    assert afresh.final_metrics["train/loss"] == 3.1, "of the newer attempt"


def test_metrics_that_were_not_finite_are_named_and_absent(state: JournalState) -> None:
    assert state.replicates[UNCOUPLED, 1].final_metrics == {"train/loss": 3.3}
    lines = (JOURNAL / "20261122T165828-dc3f34.jsonl").read_text(encoding="utf-8").splitlines()
    named = [event["not_finite"] for line in lines if "not_finite" in (event := parse_line(line, where="here"))]
    assert named == [["train/gradient_norm", "val_subset/bits_per_byte"], ["val_subset/bits_per_byte"]]


def test_the_torn_line_is_torn_and_ignored_by_both_readers(state: JournalState) -> None:
    torn = (JOURNAL / "20261123T081444-a59478.jsonl").read_bytes().rpartition(b"\n")[2]
    assert torn.startswith(b'{"time"')
    with pytest.raises(JournalError, match="not JSON"):
        parse_line(torn, where="here")
    tail = JournalReader(JOURNAL)
    tail.poll(final=True)
    assert tail.view.state == state
    assert tail.num_events == 44
    assert tail.view.sweeps["20261122T165828-dc3f34"].interrupted_at is not None
    assert tail.view.sweeps["20261123T081444-a59478"].interrupted_at is None


def test_it_can_be_compacted_and_still_says_the_same(state: JournalState, tmp_path: Path) -> None:
    compact = tmp_path / "compact.jsonl"
    compact.write_text(compact_journal(JOURNAL), encoding="utf-8")
    again = read_journal(compact)
    assert {key: replicate.status for key, replicate in again.replicates.items()} == STATUSES
    assert again.replicates[TRANSFORMER, 0].final_metrics == state.replicates[TRANSFORMER, 0].final_metrics
