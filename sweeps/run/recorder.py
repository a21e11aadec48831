"""Turns the reports and deaths of workers into journal events; knows nothing of Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from analysis.records.replicates import Key
from analysis.records.statuses import COMPLETE
from sweeps.plan.selection import Rerun
from sweeps.store.journal import JournalWriter
from sweeps.store.leases import ReplicateLeases
from trainables.worker.assignment import Assignment
from trainables.worker.replicate_folder import ReplicateFolder
from trainables.worker.watchdog import hang_location, read_stack_dump


class Listener(Protocol):
    """Receives the progress of a sweep, such as the progress display."""

    def started(self, assignment: Assignment, step: int) -> None:
        """A replicate has started, at `step`."""

    def reported(self, assignment: Assignment, event: dict[str, Any]) -> None:
        """A replicate has reported; `event["outcome"]` is set if it has ended."""

    def waiting(self, num_held: int) -> None:
        """Nothing is left to start but replicates that other drivers hold."""


class Recorder:
    """Writes a sweep's events and releases a replicate's lease once its result is durable."""

    def __init__(self, writer: JournalWriter, leases: ReplicateLeases, listener: Listener) -> None:
        self._writer, self._leases, self._listener = writer, leases, listener
        self._ended: set[Key] = set()
        self._steps: dict[Key, int] = {}
        """The last known step of each running replicate."""

    def begin(self, assignment: Assignment, rerun: Rerun | None, *, last_event_at: float = 0.0) -> None:
        """Expect another end of a replicate; a rerun also invalidates its previous end by an event `reopened`.

        Args:
            assignment: The replicate.
            rerun: Why it runs again although it had ended.
            last_event_at: Time of the newest event about it, perhaps by a driver that has died.
        """
        self._ended.discard(assignment.key)
        self._writer.follow(last_event_at)
        if rerun is None:
            return
        if rerun.from_scratch:
            _checkpoint(assignment).unlink(missing_ok=True)
        self._write(
            "reopened",
            assignment,
            reason=rerun.reason,
            anew=rerun.from_scratch,
            message=rerun.detail,
        )

    def record(self, assignment: Assignment, event: dict[str, Any]) -> None:
        """Write a worker's event."""
        if event["event"] == "started":
            values = {name: event[name] for name in ("step", "numerics", "host", "pid", "cap_mib")}
            self._write("started", assignment, **values)
            self._steps[assignment.key] = event["step"]
            self._listener.started(assignment, event["step"])
            return
        if not event["outcome"]:
            self._steps[assignment.key] = event["step"]
        if event["metrics"]:
            self._writer.write_report(assignment.config_id, assignment.seed, event["step"], event["metrics"])
        if event["outcome"]:
            self._end(assignment, event)
        self._listener.reported(assignment, event)

    def record_death(
        self, assignment: Assignment, last_words: str, *, lost_node: bool = False, unresponsive: str | None = None
    ) -> dict[str, Any] | None:
        """Write that a worker's process is gone: ended by its watchdog, the system, a fault or the driver.

        Args:
            assignment: Its replicate; nothing is written if that had ended before.
            last_words: Ray's message about the end of the process.
            lost_node: Its whole node, or Ray there, is gone: no fault of the replicate.
            unresponsive: The message if the driver ended it because it was unresponsive.

        Returns:
            The event; None if nothing was written.
        """
        if assignment.key in self._ended:
            return None
        folder = ReplicateFolder(Path(assignment.replicate_dir))
        stacks = read_stack_dump(folder.stacks)
        if stacks:
            outcome = "timed_out"
            message = f"no report for {assignment.report_timeout_seconds:g} s; it hung at {hang_location(stacks)}"
            folder.log(f"{message}\n{stacks}")
        elif unresponsive:
            outcome, message = "timed_out", unresponsive
        elif lost_node:
            outcome, message = "preempted", f"its machine was lost: {last_words}"
        else:
            outcome = "crashed"
            message = f"the worker process died, killed by the system or by itself: {last_words}"
        killed = outcome == "crashed"
        unknown = dict.fromkeys(("seconds", "cpu_seconds", "peak_memory_mib"))
        said: dict[str, Any] = {"outcome": outcome, "message": message, "killed": killed}
        event: dict[str, Any] = {"step": self._steps.get(assignment.key, 0), "metrics": {}, **said, **unknown}
        self._end(assignment, event)
        self._listener.reported(assignment, event)
        return event

    def _end(self, assignment: Assignment, event: dict[str, Any]) -> None:
        fields = ("step", "seconds", "cpu_seconds", "peak_memory_mib", "message")
        extra = {name: event[name] for name in ("suspected", "retry", "killed") if event.get(name)}
        values = {name: event[name] for name in fields}
        # A worker that fails between reports knows no step, and a dead one reports none.
        values["step"] = max(event["step"], self._steps.pop(assignment.key, 0))
        self._write(event["outcome"], assignment, **values, **extra)
        self._ended.add(assignment.key)
        if event["outcome"] in COMPLETE:
            # Only now is the result durable; until now the checkpoint was what a killed driver would need.
            _checkpoint(assignment).unlink(missing_ok=True)
        self._leases.release(*assignment.key)

    def _write(self, event: str, assignment: Assignment, **fields: Any) -> None:
        self._writer.write(event, config_id=assignment.config_id, seed=assignment.seed, **fields)


def _checkpoint(assignment: Assignment) -> Path:
    return ReplicateFolder(Path(assignment.replicate_dir)).checkpoint
