"""Sync: one writer keeps a tracker up to date with the journal, in batches, and never stops a sweep."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.records.replicates import Key, Replicate
from sweeps.console import proposed
from sweeps.store.process_lock import ProcessLock
from sweeps.store.reader import JournalReader
from sweeps.tracking.mlflow_database import in_one_sentence
from sweeps.tracking.run_records import RunRecords, experiment_tags
from sweeps.tracking.tracker import Tracker

POLL_SECONDS = 1.0
REQUESTS_PER_SECOND = 1.0
"""Request rate to MLflow while a sweep runs: after a step with more requests, the tracker pauses."""
LONGEST_PAUSE_SECONDS = 10.0
"""Longest delay of MLflow behind the journal, whatever the number of requests."""
DEBOUNCE_SECONDS = 5.0
"""A replicate that started more recently is left for a later step: once it has ended, it needs fewer requests."""
LONGEST_BACKOFF_SECONDS = 60.0
SUMMARY_SHARE = 0.02
"""Largest share of the tracker's time for describing all configurations while the sweep runs."""


@dataclass(frozen=True)
class SyncSummary:
    """How far MLflow is after a sync."""

    num_events: int
    """Events in the journal."""
    num_missing: int
    """Events that MLflow may lack."""
    error: str = ""
    """Why events are missing."""
    delegated_to: str = ""
    """The other process that writes this journal to MLflow; how far it is has not been checked."""
    num_runs: int = 0
    """Runs that this sync made or changed."""
    num_metrics: int = 0
    """Numbers that it sent."""

    notice: str = ""
    """A notice for the user although nothing is missing, such as a database that was renamed."""

    @property
    def needs_attention(self) -> bool:
        """Whether there is something to tell the user."""
        return bool(self.num_missing or self.error or self.delegated_to or self.notice)

    def __str__(self) -> str:
        """Return a message for the user; empty if there is none."""
        if self.delegated_to:
            return f"written by {self.delegated_to}, which sees this sweep too"
        if not (self.num_missing or self.error):
            return self.notice
        behind = f"{self.num_missing} events behind" if self.num_missing else "behind the journal"
        return f"{behind}; replay with `{proposed('sync', 'STUDY')}` ({self.error})"


class TrackerSync:
    """Brings a tracker up to date with the journal, step by step. Not safe for use by several threads at once.

    Args:
        journal_dir: Folder of `.jsonl` files inside a results folder, or one file (a compact journal).
        tracker: Receives the runs.
        experiment: Name of the experiment, `study@scale`.
    """

    def __init__(self, journal_dir: Path, tracker: Tracker, experiment: str) -> None:
        self.tracker = tracker
        self._experiment = experiment
        self._reader = JournalReader(journal_dir)
        self._run_records = RunRecords(experiment, journal_dir.parent / "replicates")
        self._is_open = False
        self._unwritten: set[Key] = set()
        self._num_written = 0
        self._described = (0, False)
        """Events that the configurations' summaries cover, and whether these have all metrics."""
        self._next_description = 0.0
        self.error = ""
        """Why the last step failed; empty if it did not."""

    def step(self, *, final: bool = False) -> bool:
        """Send what is new; return whether that succeeded, and never raise.

        Args:
            final: Send everything: also recently started replicates, the configurations' means of all metrics,
                however long they take, and a last line without its end of line.
        """
        try:
            self._unwritten |= self._reader.poll(final=final)
            self._write(final)
            self.error = ""
        except Exception as error:  # noqa: BLE001  a sweep outlives its tracker; `summary` names what is missing
            self.error = in_one_sentence(error)
            self.tracker.close()
            self._is_open = False  # read the tracker's runs again: a part of the step may be written
        return not self.error

    def _write(self, final: bool) -> None:
        view = self._reader.view
        if not view.sweeps:
            return
        if not self._is_open:
            self.tracker.open(self._experiment, list(view.sweeps))
            self._is_open = True
            self._unwritten |= view.state.replicates.keys()
            self._described = (0, False)
        self._write_configurations(final)
        recently_started = set() if final else self._recently_started()
        for record in self._run_records.replicates(view, self._unwritten - recently_started):
            self.tracker.write(record)
        self._unwritten = recently_started
        self._num_written = self._reader.num_events - self._count_events(recently_started)

    def _recently_started(self) -> set[Key]:
        """Return the unwritten replicates that have started recently."""
        replicates, now = self._reader.view.state.replicates, time.time()
        return {key for key in self._unwritten if _is_recently_started(replicates[key], now)}

    def _count_events(self, keys: set[Key]) -> int:
        """Return how many events recently started replicates have: a start, and reports."""
        replicates = self._reader.view.state.replicates
        return sum(1 + len(replicates[key].reports) for key in keys)

    def _write_configurations(self, final: bool) -> None:
        """Write experiment, sweeps and configurations, less often the longer that takes.

        While the sweep runs, configurations have means of the primary metric only.
        """
        new = any(not self.tracker.has(self._run_records.configuration_key(key[0])) for key in self._unwritten)
        due = final or new or time.monotonic() >= self._next_description
        wanted = (self._reader.num_events, final)
        if not due or self._described >= wanted:
            return
        started = time.monotonic()
        view = self._reader.view
        self.tracker.describe(experiment_tags(view.state))
        configurations = self._run_records.configurations(view, primary_only=not final)
        for record in [*configurations, *self._run_records.sweeps(view)]:
            self.tracker.write(record)
        self._described = wanted
        now = time.monotonic()
        self._next_description = now + (now - started) / SUMMARY_SHARE

    def has_news(self) -> bool:
        """Return whether the journal has grown since the last step."""
        return self._reader.has_grown()

    def summary(self) -> SyncSummary:
        """Return how far MLflow is behind the events read."""
        missing = self._reader.num_events - self._num_written
        return SyncSummary(
            self._reader.num_events,
            missing,
            self.error,
            num_runs=len(self.tracker.written.runs),
            num_metrics=self.tracker.written.num_metrics,
            notice=self.tracker.notice,
        )


def _is_recently_started(replicate: Replicate, now: float) -> bool:
    if replicate.started_at is None or not replicate.has_open_attempt:
        return False
    return 0 <= now - replicate.started_at < DEBOUNCE_SECONDS


def pause_after(num_requests: int) -> float:
    """Return the pause in seconds after a step with so many requests."""
    return min(max(POLL_SECONDS, num_requests / REQUESTS_PER_SECOND), LONGEST_PAUSE_SECONDS)


def _exempt_what_is_loaded() -> None:
    """Exempt the objects of Ray's, MLflow's and SciPy's modules from garbage collection.

    These hundreds of thousands of objects live until the process ends. Each full collection would scan them for a
    third of a second, in which no thread runs.
    """
    gc.collect()
    gc.freeze()


def _lease(journal_dir: Path) -> ProcessLock:
    return ProcessLock(journal_dir.with_name(f"{journal_dir.name}.mlflow-lease"))


def sync_journal(journal_dir: Path, tracker: Tracker, experiment: str) -> SyncSummary:
    """Bring a tracker up to date with the journal and return what is missing; only a missing journal is an error.

    Raises:
        FileNotFoundError: If there is no journal.
    """
    if not journal_dir.exists():
        raise FileNotFoundError(f"no journal at {journal_dir}")
    tracking = TrackingThread(journal_dir, tracker, experiment)
    tracking.finish()
    return tracking.summary()


class TrackingThread:
    """Keeps a tracker up to date while a sweep runs, in a thread.

    Of all drivers in a results folder one holds the lock; it writes every driver's journal to its tracker. The
    others wait for the lock.
    """

    def __init__(self, journal_dir: Path, tracker: Tracker, experiment: str) -> None:
        self._sync = TrackerSync(journal_dir, tracker, experiment)
        self._lease = _lease(journal_dir)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow-tracker", daemon=True)
        self._delegated = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, patience_seconds: float = 60.0) -> SyncSummary:
        """Send all that is left and return what is missing.

        Args:
            patience_seconds: How long to wait for the next request to be answered. All requests together may take
                as long as they need: the last ones write the configurations' final intervals.
        """
        self._stop.set()
        num_requests, deadline = -1, 0.0
        while self._thread.is_alive():
            if self._num_requests != num_requests:
                num_requests, deadline = self._num_requests, time.monotonic() + patience_seconds
            if time.monotonic() >= deadline:
                summary = self.summary()
                slow = f"it answered nothing for {patience_seconds:.0f} s"
                return replace(summary, error=summary.error or slow)
            self._thread.join(min(POLL_SECONDS, patience_seconds))
        return self.summary()

    @property
    def _num_requests(self) -> int:
        return self._sync.tracker.written.num_requests

    def summary(self) -> SyncSummary:
        """Return how far MLflow is behind the events read so far."""
        summary = self._sync.summary()
        if self._delegated:
            return replace(summary, num_missing=0, error="", delegated_to=self._lease.holder())
        return summary

    def _run(self) -> None:
        wait_seconds, is_first = POLL_SECONDS, True
        while not self._stop.wait(wait_seconds):
            num_requests = self._num_requests
            if not self._acquire() or self._sync.step():
                wait_seconds = pause_after(self._num_requests - num_requests)
            else:
                wait_seconds = min(2 * wait_seconds, LONGEST_BACKOFF_SECONDS)
            if is_first:
                is_first = False
                _exempt_what_is_loaded()
        self.finish()

    def _acquire(self) -> bool:
        """Take the lock; a folder that does not allow it is an error of the sync, not of the sweep."""
        try:
            return self._lease.acquire()
        except OSError as error:
            self._sync.error = f"{type(error).__name__}: {error}"
            return False

    def finish(self) -> None:
        """Write everything that the journal holds now, unless another process is the writer."""
        while True:
            if not self._acquire():
                self._delegated = not self._sync.error
                return
            self._delegated = False
            try:
                written = self._sync.step(final=True)
            finally:
                self._lease.release()
            # A driver that has just ended saw the lock taken and left its last events to us.
            if not written or not self._sync.has_news():
                return
