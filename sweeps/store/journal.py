"""The durable record of a sweep: one append-only file per driver."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analysis.records.description import SweepInfo
from analysis.records.journal import clean_metrics


class JournalWriter:
    """Appends events to `journal/<sweep_id>.jsonl`; each is on disk before the call returns."""

    def __init__(self, folder: Path, sweep_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.sweep_id = sweep_id
        self.path = folder / f"{sweep_id}.jsonl"
        self._file = self.path.open("xb", buffering=0)
        self._lock = threading.Lock()
        self._last_time = 0.0

    def follow(self, event_time: float) -> None:
        """Give all further events times later than `event_time`, the time of another driver's event on which they
        build: readers order events by time, and the other driver's clock may be fast.
        """
        with self._lock:
            self._last_time = max(self._last_time, event_time)

    def write(self, event: str, **fields: Any) -> None:
        """Append one event. Times ascend, even if the machine's clock is set back.

        Raises:
            OSError: If it cannot be written; the file then ends with the previous event and stays usable.
        """
        with self._lock:
            # Rounded before the comparison: otherwise two times half a microsecond apart could be written as one.
            self._last_time = round(max(self._last_time + 1e-6, time.time()), 6)
            record = {"time": self._last_time, "sweep_id": self.sweep_id, "event": event, **fields}
            self._append(json.dumps(record, allow_nan=False).encode() + b"\n")
            os.fsync(self._file.fileno())

    def _append(self, line: bytes) -> None:
        before = self._file.tell()
        try:
            left = memoryview(line)
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            # A full disk may take half a line. If there is space again later, the next event must not be appended
            # to it: readers accept a torn line only at the end.
            with suppress(OSError):
                self._file.truncate(before)
                self._file.seek(before)
            raise

    def write_sweep(self, info: SweepInfo) -> None:
        """Write the first line: the description of this sweep, as it was before a search added to it."""
        described = asdict(info)
        del described["candidates"]  # they are born by events
        for newer in ("search", "ablation"):
            if described[newer] is None:
                del described[newer]  # so that an earlier phasesweep reads what it could write itself
        self.write("sweep", **described)

    def write_report(self, config_id: str, seed: int, step: int, metrics: dict[str, float]) -> None:
        """Write a report; metrics that are not finite are listed by name, since JSON has no NaN."""
        finite, not_finite = clean_metrics(metrics)
        extra: dict[str, Any] = {"not_finite": not_finite} if not_finite else {}
        self.write("report", config_id=config_id, seed=seed, step=step, metrics=finite, **extra)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
