from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import read_journal
from analysis.results.arms import summarise
from sweeps.store.reader import JournalReader
from sweeps.tracking.run_records import RunRecords
from sweeps.tracking.sync import TrackerSync
from tests.support.machine.memory_tracker import MemoryTracker
from tests.support.sweeps.journals import (
    METRIC,
    config_id,
    journal_events,
    replicate_events,
    sweep_event,
    write_journal,
)
from tests.support.sweeps.search_journal import path_events

PROBE = "with/probe/leak"


def read(folder: Path, events: list[dict[str, Any]]) -> JournalReader:
    write_journal(folder / "journal" / "a.jsonl", events)
    reader = JournalReader(folder / "journal")
    reader.poll()
    return reader


@pytest.mark.parametrize(
    ("retry", "status", "status_of_all"),
    [("", "FAILED", "FAILED"), ("micro-batch 4 instead of 8", "KILLED", "RUNNING")],
)
def test_out_of_memory_is_no_end_while_its_driver_will_try_again(
    tmp_path: Path, retry: str, status: str, status_of_all: str
) -> None:
    events = [sweep_event(("baseline",), seeds=(0,)), *replicate_events("baseline", 0, 2.4, status="oom")]
    events[-1]["retry"] = retry
    following = read(tmp_path, events).view
    projection = RunRecords("study@laptop", tmp_path / "replicates")
    (replicate,) = projection.replicates(following, [(config_id("baseline"), 0)])
    (configuration,) = projection.configurations(following)
    assert (replicate.status, replicate.tags["phasesweep.status"]) == (status, "oom")
    assert configuration.status == status_of_all


def test_what_is_tried_on_a_path_belongs_to_the_sweep_that_bore_it(tmp_path: Path) -> None:
    following = read(tmp_path, path_events()).view
    found = RunRecords("study@laptop", tmp_path / "replicates").replicates(
        following, [("f" * 12, 0), ("e" * 12, 2)]
    )
    assert [one.status for one in found] == ["FINISHED", "FINISHED"]


def num_calls(function: Callable[[], object]) -> int:
    """Return how many functions are called below `function`: work that no busy machine changes."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def test_the_work_of_replicates_does_not_grow_with_the_arms(tmp_path: Path) -> None:
    counts = []
    for num_arms in (10, 80):
        arms = dict.fromkeys(["baseline", *(f"arm_{i}" for i in range(1, num_arms))], 2.4)
        following = read(tmp_path / str(num_arms), journal_events(arms, seeds=(0, 1))).view
        projection = RunRecords("study@laptop", tmp_path / "replicates")
        counts.append(num_calls(lambda p=projection, f=following: p.replicates(f, f.state.replicates.keys())))
    assert counts[1] / counts[0] < 9  # 16 while each replicate looked for its arm among all


def test_a_row_of_a_table_takes_no_thousands_of_calls(tmp_path: Path) -> None:
    """460 arms and 24 metrics have 11,000 rows: with scipy's result objects they took 38 s, without them 4 s."""
    arms = dict.fromkeys(["baseline", *(f"arm_{i}" for i in range(1, 30))], 2.4)
    state = read(tmp_path, journal_events(arms, seeds=range(3))).view.state
    summarise(state)  # what is only done once
    assert num_calls(lambda: summarise(state)) / len(arms) < 1200


def test_while_a_sweep_runs_configurations_have_the_primary_metric_and_at_its_end_all(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    events = journal_events({"baseline": 2.48, "kuramoto": 2.45}, seeds=range(3))
    write_journal(journal / "a.jsonl", events)
    tracker = MemoryTracker()
    sync = TrackerSync(journal, tracker, "study@laptop")
    run = f"study@laptop/{config_id('kuramoto')}"
    assert sync.step(), sync.error
    live = {name: value.value for name, value in tracker.runs[run].latest.items()}
    assert f"{METRIC}.ci_high" in live
    assert PROBE not in live
    assert sync.step(final=True), sync.error  # although the journal says nothing new
    final = {name: value.value for name, value in tracker.runs[run].latest.items()}
    assert live.items() <= final.items()
    row = summarise(read_journal(journal), "probe/leak").rows[1]
    assert final[PROBE] == row.mean
    assert (final[f"{PROBE}.ci_low"], final[f"{PROBE}.ci_high"]) == (row.ci_low, row.ci_high)
    assert f"- `{PROBE.removeprefix('with/')}`" in tracker.runs[run].record.tags["mlflow.note.content"]
    num_requests = tracker.written.num_requests
    assert sync.step(final=True), sync.error
    assert tracker.written.num_requests == num_requests
