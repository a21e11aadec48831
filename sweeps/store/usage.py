"""Disk usage, and a forecast of the most that the rest of a study takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sweeps.console import format_mib
from trainables.units import MIB

CHECKPOINT_BYTES_PER_PARAMETER = 12.0
"""A float32 parameter and AdamW's two moments of it. Its 8-bit version needs less, so this is an upper bound."""

BYTES_PER_REPORT = 8192.0
"""A report in journal, curves and log, plus ten times the journal's share in MLflow's indexed database."""


def size_mib(path: Path) -> float:
    """Return the size of a file, or of all files below a folder; 0 if it is gone."""
    files = (
        [path] if path.is_file() else [Path(parent, name) for parent, _, names in os.walk(path) for name in names]
    )
    return sum(map(_size, files)) / MIB


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except FileNotFoundError:  # a running driver has removed it meanwhile
        return 0


@dataclass(frozen=True, kw_only=True)
class DiskForecast:
    """The most that the rest of a study will add, in MiB."""

    num_missing: int
    """Replicates without a result."""
    checkpoints_mib: float
    """Checkpoints of running replicates: of each the newest, and the next one while it is written."""
    records_mib: float
    """Journal, curves, logs and MLflow of the replicates that are missing."""
    free_mib: float
    """Free on the filesystem of the results."""

    @property
    def total_mib(self) -> float:
        """All that will be added."""
        return self.checkpoints_mib + self.records_mib

    def __str__(self) -> str:
        """Return it in one line."""
        if not self.num_missing:
            return f"disk: nothing more to come, {format_mib(self.free_mib)} free"
        line = (
            f"disk: at most {format_mib(self.total_mib)} more for {self.num_missing} replicates "
            f"(checkpoints {format_mib(self.checkpoints_mib)} at a time), {format_mib(self.free_mib)} free"
        )
        fits = self.total_mib <= self.free_mib
        return line if fits else f"{line}: NOT ENOUGH; free some, or set PHASESWEEP_RESULTS elsewhere"


def forecast(sizes: Iterable[int], *, num_reports: int, concurrency: int, folder: Path) -> DiskForecast:
    """Forecast the disk space of replicates that are to run.

    Args:
        sizes: Trainable parameters of each.
        num_reports: Number of reports of all together.
        concurrency: Replicates that run at a time.
        folder: The results folder; may not exist yet.
    """
    largest_first = sorted(sizes, reverse=True)
    return DiskForecast(
        num_missing=len(largest_first),
        checkpoints_mib=2 * CHECKPOINT_BYTES_PER_PARAMETER * sum(largest_first[:concurrency]) / MIB,
        records_mib=BYTES_PER_REPORT * num_reports / MIB,
        free_mib=shutil.disk_usage(_existing(folder)).free / MIB,
    )


def _existing(path: Path) -> Path:
    """Return `path` or the nearest folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path
