"""A tracker that keeps runs in memory, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sweeps.tracking.tracker import RunRecord, SyncCounts, Value, holds_lost_points, values_of


@dataclass
class HeldRun:
    """A run as it is kept."""

    journal: str
    """First sweep of the journal that it shows."""
    record: RunRecord
    points: set[tuple[str, Value]] = field(default_factory=set)
    """(metric, number): the whole history."""
    latest: dict[str, Value] = field(default_factory=dict)
    """Of each metric, the number of the highest step; of equal steps, the newest."""


class MemoryTracker:
    """Keeps runs in memory.

    Args:
        store: What an earlier tracker has kept, as a process finds it that starts again; None for a new one.
    """

    def __init__(self, store: list[HeldRun] | None = None) -> None:
        self.written, self.notice = SyncCounts(), ""
        self.store: list[HeldRun] = [] if store is None else store
        self.runs: dict[str, HeldRun] = {}
        """Those of the journal that is open, by key."""
        self.tags: dict[str, str] = {}
        """The experiment's."""
        self._journal = ""

    def open(self, experiment: str, sweep_ids: Sequence[str]) -> None:
        self._journal = sweep_ids[0]
        self.runs = {run.record.key: run for run in self.store if run.journal in sweep_ids}

    def describe(self, tags: Mapping[str, str]) -> None:
        self.tags |= tags

    def has(self, key: str) -> bool:
        return key in self.runs

    def write(self, record: RunRecord) -> None:
        run = self.runs.get(record.key)
        if run is not None and holds_lost_points(run.latest, record):
            self.store.remove(run)
            run = None
        if run is None:
            run = self.runs[record.key] = HeldRun(self._journal, record)
            self.store.append(run)
        new = set(values_of([*record.curve, *([record.summary] if record.summary else [])])) - run.points
        if new or run.record != record:
            self.written.runs.add(record.key)
            self.written.num_requests += 1
            self.written.num_metrics += len(new)
        run.record = record
        run.points |= new
        for name, value in new:
            run.latest[name] = max(value, run.latest.get(name, value))

    def close(self) -> None:
        pass
