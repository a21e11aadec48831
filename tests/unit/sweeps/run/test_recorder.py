"""What becomes of a worker's words and of its death."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import read_events, read_journal
from sweeps.plan.selection import Rerun
from sweeps.run.recorder import Recorder
from sweeps.store.journal import JournalWriter
from sweeps.store.leases import ReplicateLeases
from tests.support.models.configs import small_assignment
from tests.support.sweeps.journals import replicate_events, sweep_event, write_journal
from trainables.worker.assignment import Assignment
from trainables.worker.replicate_folder import ReplicateFolder
from trainables.worker.watchdog import OUR_WORK

STACKS = f"""Timeout (0:00:09)!
Thread 0x01 (most recent call first):
  File "/ray/thread.py", line 3 in run

Thread 0x02 (most recent call first):
  File "/usr/lib/pathlib.py", line 1044 in open
  File "/here/{OUR_WORK}", line 35 in watched
"""


USED = ("seconds", "cpu_seconds", "peak_memory_mib")


class Heard:
    def __init__(self) -> None:
        self.started_seeds: list[int] = []
        self.outcomes: list[str | None] = []

    def started(self, assignment: Assignment, step: int) -> None:
        self.started_seeds.append(assignment.seed)

    def reported(self, assignment: Assignment, event: dict[str, Any]) -> None:
        self.outcomes.append(event["outcome"])

    def waiting(self, num_held: int) -> None:
        raise AssertionError


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[tuple[Recorder, ReplicateLeases, Heard, Assignment]]:
    writer = JournalWriter(tmp_path / "journal", "me")
    writer.write(**{k: v for k, v in sweep_event(("baseline",)).items() if k not in {"time", "sweep_id"}})
    heard = Heard()
    given = small_assignment(tmp_path, config_id="baseline-id", report_timeout_seconds=9.0)
    ReplicateFolder(Path(given.replicate_dir)).checkpoint.parent.mkdir(parents=True)
    ReplicateFolder(Path(given.replicate_dir)).checkpoint.touch()
    with ReplicateLeases(tmp_path / "leases", "me") as leases:
        assert leases.acquire(given.config_id, given.seed)
        yield Recorder(writer, leases, heard), leases, heard, given
    writer.close()


def last_event(folder: Path) -> dict[str, Any]:
    return list(read_events(folder / "journal" / "me.jsonl"))[-1]


def is_free(folder: Path) -> bool:
    return not list((folder / "leases").glob("*.lease"))


def test_a_worker_that_the_driver_ended_has_timed_out(tmp_path: Path, parts: Any) -> None:
    recorder, _, heard, given = parts
    recorder.record_death(given, "killed", unresponsive="unresponsive for 24 s")
    event = last_event(tmp_path)
    assert (event["event"], event["message"]) == ("timed_out", "unresponsive for 24 s")
    assert heard.outcomes == ["timed_out"]
    assert is_free(tmp_path)


def test_a_dead_worker_that_left_its_stacks_has_timed_out(tmp_path: Path, parts: Any) -> None:
    recorder, _, heard, given = parts
    folder = ReplicateFolder(Path(given.replicate_dir))
    folder.stacks.write_text(STACKS, encoding="utf-8")
    recorder.record_death(given, "exit code 1")
    event = last_event(tmp_path)
    assert event["event"] == "timed_out"
    assert event["message"] == 'no report for 9 s; it hung at File "/usr/lib/pathlib.py", line 1044 in open'
    assert STACKS in (folder.path / "log.txt").read_text(encoding="utf-8")
    assert not folder.stacks.exists()
    assert folder.checkpoint.exists(), "a second attempt may go on from it"
    assert heard.outcomes == ["timed_out"]
    assert is_free(tmp_path)


def test_any_other_dead_worker_has_crashed(tmp_path: Path, parts: Any) -> None:
    recorder, _, heard, given = parts
    ReplicateFolder(Path(given.replicate_dir)).stacks.touch()  # armed, and not fired
    recorder.record_death(given, "signal 9")
    event = last_event(tmp_path)
    assert event["event"] == "crashed"
    assert event["message"].endswith("killed by the system or by itself: signal 9")
    assert heard.outcomes == ["crashed"]
    assert is_free(tmp_path)


def started_at(step: int) -> dict[str, Any]:
    return {"event": "started", "step": step, "numerics": {}, "host": "here", "pid": 1, "cap_mib": None}


@pytest.mark.parametrize(("reports", "step"), [([], 300), ([400, 500], 500)])
@pytest.mark.parametrize("dies", [True, False])
def test_a_death_and_a_failure_carry_the_last_known_step(
    reports: list[int], step: int, dies: bool, tmp_path: Path, parts: Any
) -> None:
    """A dead worker says nothing, and one that fails on its way says step 0."""
    recorder, _, _, given = parts
    recorder.record(given, started_at(300))
    said = {"event": "report", "metrics": {"a": 1.0}, "message": "", **dict.fromkeys(USED, 1.0)}
    for each in reports:
        recorder.record(given, {**said, "step": each, "outcome": None})
    if dies:
        recorder.record_death(given, "signal 9")
    else:
        recorder.record(given, {**said, "step": 0, "metrics": {}, "outcome": "oom", "message": "too much"})
    assert (last_event(tmp_path)["event"], last_event(tmp_path)["step"]) == ("crashed" if dies else "oom", step)


def test_the_step_of_an_earlier_attempt_is_not_that_of_a_later_one(tmp_path: Path, parts: Any) -> None:
    recorder, claims, _, given = parts
    recorder.record(given, started_at(300))
    recorder.record_death(given, "signal 9")
    assert claims.acquire(*given.key)
    recorder.begin(given, None)
    recorder.record_death(given, "signal 9")
    assert last_event(tmp_path)["step"] == 0, "it died before it had started"


@pytest.mark.parametrize("outcome", ["finished", "diverged", "pruned"])
def test_a_death_after_the_end_is_nothing(outcome: str, tmp_path: Path, parts: Any) -> None:
    recorder, _, heard, given = parts
    used = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_memory_mib": 1.0}
    end = {"event": "report", "step": 5, "metrics": {"a": 1.0}, "outcome": outcome, "message": "", **used}
    recorder.record(given, end)
    kept = ReplicateFolder(Path(given.replicate_dir)).checkpoint.exists()
    assert kept == (outcome == "pruned"), "what is promoted later continues from it"
    recorder.record_death(given, "signal 9")
    assert last_event(tmp_path)["event"] == outcome
    assert heard.outcomes == [outcome]


def test_a_lost_machine_is_no_fault_of_the_replicate_and_it_can_be_lost_again(tmp_path: Path, parts: Any) -> None:
    recorder, leases, heard, given = parts
    for count in (1, 2):
        recorder.begin(given, None)
        recorder.record_death(given, "its node has died", lost_node=True)
        assert heard.outcomes == ["preempted"] * count
        assert last_event(tmp_path)["message"] == "its machine was lost: its node has died"
        assert leases.acquire(given.config_id, given.seed)


@pytest.mark.parametrize(("reason", "kept"), [("failed", True), ("changed", False)])
def test_an_end_is_taken_back_though_another_clock_is_fast(
    reason: Any, kept: bool, tmp_path: Path, parts: Any
) -> None:
    """The end that another driver wrote lies in our future; our events must still come after it."""
    recorder, _, _, given = parts
    future = 4_000_000_000.0
    ended = replicate_events("baseline", 0, 2.5, status="diverged", sweep_id="other", start=future)
    write_journal(tmp_path / "journal" / "other.jsonl", [sweep_event(("baseline",), sweep_id="other"), *ended])
    before = read_journal(tmp_path / "journal").replicates[given.config_id, 0]
    assert before.status == "diverged" and before.ended_at is not None
    recorder.begin(given, Rerun(reason, "torch 1 -> 2", before.ended_at), last_event_at=before.ended_at)
    assert last_event(tmp_path)["message"] == "torch 1 -> 2"
    after = read_journal(tmp_path / "journal").replicates[given.config_id, 0]
    assert (after.status, after.reruns, after.starts) == (None, 1, 1)
    assert bool(after.reports) is kept
    assert ReplicateFolder(Path(given.replicate_dir)).checkpoint.exists() is kept


def test_what_is_taken_over_counts_though_the_dead_drivers_clock_was_fast(tmp_path: Path, parts: Any) -> None:
    recorder, _, _, given = parts
    future = 4_000_000_000.0
    begun = replicate_events("baseline", 0, 2.5, status=None, sweep_id="dead", start=future)
    write_journal(tmp_path / "journal" / "dead.jsonl", [sweep_event(("baseline",), sweep_id="dead"), *begun])
    recorder.begin(given, None, last_event_at=begun[-1]["time"])
    used = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_memory_mib": 1.0}
    report = {"event": "report", "step": 300, "metrics": {"a": 7.0}, "outcome": None, "message": "", **used}
    recorder.record(given, report)
    replicate = read_journal(tmp_path / "journal").replicates[given.config_id, 0]
    assert (replicate.reports[-1].step, replicate.final_metrics) == (300, {"a": 7.0})
