from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.store.reader import JournalReader
from sweeps.tracking.run_records import RunRecords
from tests.journals import replicate_events, sweep_event, write_journal


@pytest.mark.parametrize(
    ("retry", "status", "status_of_all"),
    [("", "FAILED", "FAILED"), ("micro-batch 4 instead of 8", "KILLED", "RUNNING")],
)
def test_out_of_memory_is_no_end_while_its_driver_will_try_again(
    tmp_path: Path, retry: str, status: str, status_of_all: str
) -> None:
    events = [sweep_event(("baseline",), seeds=(0,)), *replicate_events("baseline", 0, 2.4, status="oom")]
    events[-1]["retry"] = retry
    write_journal(tmp_path / "journal" / "a.jsonl", events)
    reader = JournalReader(tmp_path / "journal")
    touched = reader.poll()
    projection = RunRecords("study@laptop", tmp_path / "replicates")
    (replicate,) = projection.replicates(reader.following, touched)
    (configuration,) = projection.configurations(reader.following)
    assert (replicate.status, replicate.tags["phasesweep.status"]) == (status, "oom")
    assert configuration.status == status_of_all
