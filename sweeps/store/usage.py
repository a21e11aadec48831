"""Disk that a study takes: now, by kind, and at most by its end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.records.journal import JournalState
from analysis.records.statuses import RESULTS
from sweeps.console import format_mib
from sweeps.store.folder import ResultsFolder
from trainables.units import MIB

if TYPE_CHECKING:
    from sweeps.plan.plan import Plan

KINDS = ("journal", "checkpoints", "curves", "logs", "other", "mlflow")
"""What files are for. `mlflow` is the database beside all studies of a results folder, shared by them."""

CHECKPOINT_BYTES_PER_PARAMETER = 12.0
"""A float32 parameter and AdamW's two moments of it. Its 8-bit version needs less, so this is an upper bound."""

ASSUMED_MIB_PER_REPLICATE = 0.08
"""Journal, curves, log and MLflow of a replicate with ten reports, before one of this study has ended."""

MLFLOW_PER_JOURNAL = 10.0
"""Bytes that MLflow's database takes for a byte of the journal: a row a number, with its index."""

_KIND_OF_NAME = {"metrics.jsonl": "curves", "log.txt": "logs", "driver.log": "logs"}


def size_mib(path: Path) -> float:
    """Return the size of a file, or of all files below a folder; 0 where there is nothing any more."""
    return sum(size for _, size in _files(path)) / MIB


def usage_mib(folder: ResultsFolder) -> dict[str, float]:
    """Return MiB by kind of what a study has on disk, and of the MLflow database that it shares."""
    usage = dict.fromkeys(KINDS, 0.0)
    for path, size in _files(folder.path):
        usage[_kind(path.relative_to(folder.path))] += size / MIB
    root = folder.path.parent.parent
    usage["mlflow"] = size_mib(root / "mlflow.db") + size_mib(root / "mlartifacts")
    return usage


def _files(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield every file with its size in bytes; a running driver may take one away meanwhile."""
    if path.is_file():
        yield path, path.stat().st_size
    for parent, _, names in os.walk(path):
        for name in names:
            file = Path(parent, name)
            try:
                yield file, file.lstat().st_size
            except FileNotFoundError:
                continue


def _kind(path: Path) -> str:
    if path.parts[0] == "journal":
        return "journal"
    if "checkpoint" in path.parts:
        return "checkpoints"
    return _KIND_OF_NAME.get(path.name, "other")


@dataclass(frozen=True, kw_only=True)
class DiskForecast:
    """What the rest of a study will add at most, in MiB."""

    num_missing: int
    """Replicates without a result."""
    checkpoints_mib: float
    """Most that running replicates keep at a time: each the newest, and the next while that is written."""
    records_mib: float
    """Journal, curves, logs and MLflow of the replicates that are missing."""
    measured: bool
    """Whether `records_mib` rests on replicates of this study that have ended."""
    free_mib: float
    """Free on the filesystem of the results."""

    @property
    def total_mib(self) -> float:
        """All that will be added."""
        return self.checkpoints_mib + self.records_mib

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.total_mib <= self.free_mib

    def to_json(self) -> dict[str, Any]:
        """Return the fields as `gc --json` prints them."""
        rounded = {
            name: round(value, 3) if isinstance(value, float) else value for name, value in vars(self).items()
        }
        return {**rounded, "total_mib": round(self.total_mib, 3), "fits": self.fits}

    def __str__(self) -> str:
        """One line about it."""
        if not self.num_missing:
            return f"disk: nothing more to come, {format_mib(self.free_mib)} free"
        line = (
            f"disk: at most {format_mib(self.total_mib)} more for {self.num_missing} replicates "
            f"(checkpoints {format_mib(self.checkpoints_mib)} at a time), {format_mib(self.free_mib)} free"
        )
        return line if self.fits else f"{line}: NOT ENOUGH; free some, or set PHASESWEEP_RESULTS elsewhere"


def forecast(
    folder: ResultsFolder, state: JournalState, sizes: Iterable[tuple[str, int, int]], concurrency: int
) -> DiskForecast:
    """Forecast the disk that the rest of a study takes.

    Args:
        folder: Where; may not exist yet.
        state: Its journal.
        sizes: (config_id, seed, trainable parameters) of every planned replicate.
        concurrency: Replicates that run at a time.
    """
    done = {key for key, replicate in state.replicates.items() if replicate.status in RESULTS}
    missing = sorted(number for config_id, seed, number in sizes if (config_id, seed) not in done)
    usage = usage_mib(folder)
    per_replicate = ASSUMED_MIB_PER_REPLICATE
    if done:  # MLflow's share cannot be measured: other studies write there too
        records = usage["curves"] + usage["logs"] + usage["other"] + (1 + MLFLOW_PER_JOURNAL) * usage["journal"]
        per_replicate = records / len(done)
    largest = missing[-min(concurrency, len(missing)) :] if missing else []
    return DiskForecast(
        num_missing=len(missing),
        checkpoints_mib=2 * CHECKPOINT_BYTES_PER_PARAMETER * sum(largest) / MIB,
        records_mib=per_replicate * len(missing),
        measured=bool(done),
        free_mib=shutil.disk_usage(_existing(folder.path)).free / MIB,
    )


def _existing(path: Path) -> Path:
    """Return `path` or the nearest folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path


def forecast_of_plan(plan: Plan, folder: ResultsFolder, state: JournalState) -> DiskForecast:
    """Forecast the disk that a plan still takes; `str` of it is one line for people."""
    sizes = ((planned.config_id, seed, planned.num_parameters) for planned, seed in plan.replicates)
    return forecast(folder, state, sizes, plan.concurrency)
