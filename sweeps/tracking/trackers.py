"""What a tracker can do: five methods over one type of record."""

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
"""Metrics in the summary of a replicate; all others are of its curve."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run as it should be."""

    key: str
    level: Level
    name: str
    started_at: float
    """Unix seconds."""
    ended_at: float | None
    status: RunStatus
    parent: str | None = None
    """Key of the run above."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Cannot change; more may come."""
    tags: Mapping[str, str] = field(default_factory=dict)
    curve: Sequence[ReportPoint] = ()
    """A replicate's reports, of ascending steps."""
    summary: ReportPoint | None = None
    """Numbers that replace what the run holds under the same names."""


@dataclass
class SyncCounts:
    """What has been sent to a tracker."""

    runs: set[str] = field(default_factory=set)
    """Keys of the runs that were made or changed."""
    num_metrics: int = 0
    """Numbers sent."""
    num_requests: int = 0
    """Calls that made or changed a run."""


class Tracker(Protocol):
    """Keeps the runs of one journal in one experiment. `sweeps.tracking.contract` checks what is said here.

    A record is a function of the journal alone. To write it twice, from any process, is to write it once: whoever
    writes may die anywhere, and the next one starts from the first record. One process writes at a time; a lock
    sees to that, not the tracker.
    """

    written: SyncCounts
    """What this object has sent since it was made."""
    notice: str
    """What a person should know of how `open` went; empty if nothing."""

    def open(self, experiment: str, sweep_ids: Sequence[str]) -> None:
        """Find what the experiment holds of a journal; call it once more after any error.

        Args:
            experiment: `study@scale`; made if there is none.
            sweep_ids: The journal's sweeps, the first one first. Runs of other journals are never touched: someone
                may have deleted the results and begun a second time under the same name.

        Raises:
            Exception: If the store is away or damaged. So may `describe` and `write`.
        """

    def describe(self, tags: Mapping[str, str]) -> None:
        """Set tags of the experiment: its description, and how a page shows it."""

    def has(self, key: str) -> bool:
        """Return whether there is a run with this key."""

    def write(self, record: RunRecord) -> None:
        """Make the run hold what `record` says; its parent has been written before."""

    def close(self) -> None:
        """Forget the connection."""


class Value(NamedTuple):
    """A number as a run holds it."""

    step: int
    at_ms: int
    """Unix milliseconds."""
    value: float


def milliseconds(seconds: float) -> int:
    """Return Unix seconds as the milliseconds that trackers count in."""
    return round(seconds * 1000)


@lru_cache(maxsize=4096)  # few names, each in every replicate
def mlflow_name(name: str) -> str:
    """Return `name` as MLflow accepts it for metrics, parameters and tags.

    Allowed are letters, digits and `/ _ - . : ` and space, in a form that is a plain relative path.
    """
    allowed = re.sub(r"[^/\w.\- :]", "_", name)[:MAX_NAME_CHARACTERS]
    return posixpath.normpath(allowed).lstrip("/.") or "_"


def values_of(points: Iterable[ReportPoint]) -> Iterator[tuple[str, Value]]:
    """Yield (metric, number) of every number in some reports."""
    for point in points:
        for name, value in point.metrics.items():
            yield mlflow_name(name), Value(point.step, milliseconds(point.time), value)


def holds_lost_points(latest: Mapping[str, Value], record: RunRecord) -> bool:
    """Return whether a run holds reports that its record no longer has, so that it must be made once more.

    A continued replicate repeats steps of its lost attempt, and a reopened one all of them. Points are taken back
    from the end only: while the newest one still counts, so do all before it.

    Args:
        latest: {metric: newest number} of the run.
        record: As the run should be.
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
    """Return what a run without lost points lacks: of the curve all after `latest`, of the summary what differs."""
    newest = max((value.step for name, value in latest.items() if name not in RESOURCES), default=-1)
    start = bisect_left(record.curve, newest, key=lambda point: point.step)
    curve = values_of(record.curve[start:])  # from the newest on: of that one a part may be in
    summary = values_of([record.summary] if record.summary else [])
    return [
        *((name, value) for name, value in curve if name not in latest or latest[name].step < value.step),
        *((name, value) for name, value in summary if latest.get(name) != value),
    ]


class NoopTracker(Tracker):
    """Takes everything and keeps nothing."""

    def __init__(self) -> None:
        self.written, self.notice = SyncCounts(), ""

    def has(self, key: str) -> bool:
        """Return True: nothing is ever missing."""
        return True
