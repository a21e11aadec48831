"""MLflow away, slow or silent, and journals that cannot be read: the sweep loses nothing and ends in time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sweeps.tracking.mlflow_store import MlflowTracker
from sweeps.tracking.sync import TrackingThread, sync_journal
from sweeps.tracking.tracker import RunRecord
from sweeps.tracking.uri import default_tracking_uri
from tests.support.machine.memory_tracker import MemoryTracker
from tests.support.sweeps.tracked import (
    EVENTS,
    EXPERIMENT,
    give_database,
    journal,
    key,
    projected,
)

NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there."""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    give_database(tmp_path)
    return tmp_path


def test_without_a_server_nothing_is_lost_and_a_replay_brings_all(results: Path) -> None:
    folder = journal(results)
    started = time.monotonic()
    summary = sync_journal(folder, MlflowTracker(NOWHERE), EXPERIMENT)
    assert time.monotonic() - started < 20
    assert summary.num_missing == summary.num_events == len(EVENTS)
    assert f"{len(EVENTS)} events behind; replay with `" in str(summary)
    assert len(projected(results)) == 13


def test_a_tracker_without_a_server_closes_in_time(results: Path) -> None:
    tracker = TrackingThread(journal(results), MlflowTracker(NOWHERE), EXPERIMENT)
    tracker.start()
    started = time.monotonic()
    summary = tracker.close(patience_seconds=0.5)
    assert time.monotonic() - started < 2
    assert summary.num_missing > 0
    assert summary.error


class SlowTracker(MemoryTracker):
    """Takes a fifth of a second for a run, as a server far away."""

    def write(self, record: RunRecord) -> None:
        time.sleep(0.2)
        super().write(record)


class HangingTracker(MemoryTracker):
    """Has stopped to answer."""

    def write(self, record: RunRecord) -> None:
        time.sleep(3)


def test_closing_waits_while_requests_are_answered_until_the_last_interval_is_in(
    tmp_path: Path,
) -> None:
    tracker = SlowTracker()
    thread = TrackingThread(journal(tmp_path), tracker, EXPERIMENT)
    thread.start()
    started = time.monotonic()
    summary = thread.close(patience_seconds=1.0)
    assert time.monotonic() - started > 2.0  # 13 runs
    assert not summary.needs_attention, str(summary)
    assert "with/probe/leak.ci_high" in tracker.runs[key("baseline")].latest


def test_closing_gives_up_when_nothing_is_answered_any_more(
    tmp_path: Path,
) -> None:
    thread = TrackingThread(journal(tmp_path), HangingTracker(), EXPERIMENT)
    thread.start()
    summary = thread.close(patience_seconds=0.5)
    assert summary.num_missing == len(EVENTS)
    assert "it answered nothing for 0 s" in str(summary) or "it answered nothing for 1 s" in str(summary)


def test_an_unreadable_journal_is_said_and_not_raised(results: Path) -> None:
    folder = journal(results)
    with (folder / "a.jsonl").open("a") as file:
        file.write("nonsense\n")
    summary = sync_journal(folder, MlflowTracker(default_tracking_uri(results)), EXPERIMENT)
    assert "JournalError" in str(summary)
    assert "a.jsonl" in str(summary)


def test_a_folder_that_takes_no_lease_is_said_and_not_raised(results: Path) -> None:
    folder = journal(results)
    (folder.parent / "journal.mlflow-lease").mkdir()
    tracker = TrackingThread(folder, MlflowTracker(default_tracking_uri(results)), EXPERIMENT)
    tracker.start()
    assert "IsADirectoryError" in str(tracker.close())
