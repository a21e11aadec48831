"""The protocol `Tracker`: five methods over one type of record."""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

from analysis.records.replicates import ReportPoint

Level = Literal["configuration", "replicate", "sweep"]
RunStatus = Literal["SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED"]

MAX_NAME_CHARACTERS = 250
RESOURCES = ("seconds", "peak_memory_mib")
"""Metrics in the summary of a replicate; all others belong to its curve."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The desired content of one run."""

    key: str
    level: Level
    name: str
    started_at: float
    """Unix seconds."""
    ended_at: float | None
    status: RunStatus
    parent: str | None = None
    """Key of the parent run."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values cannot change; more may be added."""
    tags: Mapping[str, str] = field(default_factory=dict)
    curve: Sequence[ReportPoint] = ()
    """A replicate's reports, of ascending steps."""
    summary: ReportPoint | None = None
    """Numbers that replace what the run holds under the same names."""


@dataclass
class SyncCounts:
    """Counts of what has been sent to a tracker."""

    runs: set[str] = field(default_factory=set)
    """Keys of the runs that were made or changed."""
    num_metrics: int = 0
    """Numbers sent."""
    num_requests: int = 0
    """Calls that made or changed a run."""


class Tracker(Protocol):
    """Keeps the runs of one journal in one experiment. `sweeps.tracking.contract` checks implementations.

    A record is a function of the journal alone, and writing it again, from any process, changes nothing: a writer
    may die at any point, and the next one starts from the first record. One process writes at a time; a lock
    ensures that, not the tracker.
    """

    written: SyncCounts
    """Counts of what this object has sent."""
    notice: str
    """A notice of `open` for the user; empty if there is none."""

    def open(self, experiment: str, sweep_ids: Sequence[str]) -> None:
        """Read the runs of a journal in the experiment; call it again after any error.

        Args:
            experiment: `study@scale`; made if there is none.
            sweep_ids: The journal's sweeps, oldest first. Runs of other journals are never changed: the results may
                have been deleted and started again under the same name.

        Raises:
            Exception: If the store is unavailable or damaged. `describe` and `write` raise then too.
        """

    def describe(self, tags: Mapping[str, str]) -> None:
        """Set tags of the experiment: its description, and how the page shows it."""

    def has(self, key: str) -> bool:
        """Return whether there is a run with this key."""

    def write(self, record: RunRecord) -> None:
        """Make the run equal to `record`; its parent has been written before."""

    def close(self) -> None:
        """Close the connection."""


class Value(NamedTuple):
    """A number in a run."""

    step: int
    at_ms: int
    """Unix milliseconds."""
    value: float


def milliseconds(seconds: float) -> int:
    """Return Unix seconds as milliseconds."""
    return round(seconds * 1000)


@lru_cache(maxsize=4096)  # few names, which every replicate repeats
def mlflow_name(name: str) -> str:
    """Return `name` as MLflow accepts it for metrics, parameters and tags.

    Allowed are letters, digits and `/ _ - . : ` and space, in a form that is a plain relative path.
    """
    allowed = re.sub(r"[^/\w.\- :]", "_", name)[:MAX_NAME_CHARACTERS]
    return posixpath.normpath(allowed).lstrip("/.") or "_"


def values_of(points: Iterable[ReportPoint]) -> Iterator[tuple[str, Value]]:
    """Yield (metric, number) for every number in the reports."""
    for point in points:
        for name, value in point.metrics.items():
            yield mlflow_name(name), Value(point.step, milliseconds(point.time), value)


def holds_lost_points(latest: Mapping[str, Value], record: RunRecord) -> bool:
    """Return whether a run holds reports that its record no longer has, so that it must be made again.

    A continued replicate repeats steps of its lost attempt, and a rerun from scratch all of them. Points become
    invalid only from the end: while the newest one is valid, so are all before it.

    Args:
        latest: {metric: newest number} of the run.
        record: The record of the run.
    """
    if record.level != "replicate":
        return False
    newest = max((value[:2] for name, value in latest.items() if name not in RESOURCES), default=None)
    if newest is None:
        return False
    place = bisect_left(record.curve, newest[0], key=lambda point: point.step)
    at = record.curve[place : place + 1]
    return newest not in [(point.step, milliseconds(point.time)) for point in at]


def missing_values(latest: Mapping[str, Value], record: RunRecord) -> list[tuple[str, Value]]:
    """Return what a run without lost points lacks: points of the curve after `latest`, changed summary values."""
    newest = max((value.step for name, value in latest.items() if name not in RESOURCES), default=-1)
    start = bisect_left(record.curve, newest, key=lambda point: point.step)
    curve = values_of(record.curve[start:])  # from the newest report on, which may be written in part
    summary = values_of([record.summary] if record.summary else [])
    return [
        *((name, value) for name, value in curve if name not in latest or latest[name].step < value.step),
        *((name, value) for name, value in summary if latest.get(name) != value),
    ]
