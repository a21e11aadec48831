"""The durable record of a sweep: one append-only file per driver, and claims so that nothing runs twice."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from analysis.records import SweepInfo, clean_metrics

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""A driver on another machine whose heartbeat is older than this is taken for dead."""


class JournalWriter:
    """Appends events to `journal/<sweep_id>.jsonl`; each is on disk before the call returns."""

    def __init__(self, folder: Path, sweep_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.sweep_id = sweep_id
        self.path = folder / f"{sweep_id}.jsonl"
        self._file = self.path.open("x", encoding="utf-8")
        self._lock = threading.Lock()
        self._last_time = 0.0

    def write(self, event: str, **fields: Any) -> None:
        """Append one event. Times never run backwards, whatever the machine's clock does."""
        with self._lock:
            self._last_time = max(self._last_time + 1e-6, time.time())
            record = {"time": round(self._last_time, 6), "sweep_id": self.sweep_id, "event": event, **fields}
            self._file.write(json.dumps(record, allow_nan=False) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def write_sweep(self, info: SweepInfo) -> None:
        """Write the first line: what this sweep is."""
        self.write("sweep", **asdict(info))

    def write_report(self, config_id: str, seed: int, step: int, metrics: dict[str, float]) -> None:
        """Write a report; metrics that are not finite are named, since JSON has no NaN."""
        finite, not_finite = clean_metrics(metrics)
        extra = {"not_finite": not_finite} if not_finite else {}
        self.write("report", config_id=config_id, seed=seed, step=step, metrics=finite, **extra)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class ClaimBook:
    """Who is running which replicate: one exclusively created file per claim, one heartbeat per driver.

    A claim falls when its driver has died: on this machine when the process is gone, on another when its
    heartbeat is old.
    """

    def __init__(self, folder: Path, sweep_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.sweep_id = sweep_id
        self._heartbeat_path = folder / f"{sweep_id}.driver"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="claim-heartbeat", daemon=True)

    def __enter__(self) -> ClaimBook:
        process = psutil.Process()
        owner = {"host": socket.gethostname(), "pid": process.pid, "process_started": process.create_time()}
        write_whole(self._heartbeat_path, json.dumps(owner))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for claim in self.folder.glob("*.claim"):
            if self._owner_of(claim) == self.sweep_id:
                claim.unlink(missing_ok=True)
        self._heartbeat_path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):  # a moment without the filesystem: the next beat tells
                os.utime(self._heartbeat_path)

    def _path(self, config_id: str, seed: int) -> Path:
        return self.folder / f"{config_id}.seed={seed}.claim"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Serialise take-overs: two drivers that both see a dead claim must not both take it."""
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def claim(self, config_id: str, seed: int) -> bool:
        """Claim a replicate; return False if a living driver has it."""
        path = self._path(config_id, seed)
        with self._locked():
            if path.exists():
                if self._is_alive(self._owner_of(path)):
                    return False
                path.unlink()
            with path.open("x", encoding="utf-8") as file:
                file.write(self.sweep_id)
        return True

    def release(self, config_id: str, seed: int) -> None:
        """Give our claim back; its replicate has ended and the journal says so."""
        path = self._path(config_id, seed)
        if self._owner_of(path) == self.sweep_id:
            path.unlink(missing_ok=True)

    def is_claimed_by_another(self, config_id: str, seed: int) -> bool:
        """Return whether another living driver has this replicate."""
        owner = self._owner_of(self._path(config_id, seed))
        return owner not in {None, self.sweep_id} and self._is_alive(owner)

    @staticmethod
    def _owner_of(claim: Path) -> str | None:
        try:
            return claim.read_text(encoding="utf-8")
        except FileNotFoundError:  # released between listing and reading
            return None

    @classmethod
    def drivers(cls, folder: Path) -> list[str]:
        """Return the sweep ids of all drivers that are at work in `folder`."""
        return sorted(path.stem for path in folder.glob("*.driver") if cls._driver_is_alive(path))

    def _is_alive(self, sweep_id: str | None) -> bool:
        return sweep_id is not None and self._driver_is_alive(self.folder / f"{sweep_id}.driver")

    @staticmethod
    def _driver_is_alive(heartbeat: Path) -> bool:
        try:
            age_seconds = time.time() - heartbeat.stat().st_mtime
            owner = json.loads(heartbeat.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # gone, or torn by a full disk: nobody keeps it alive
            return False
        if owner["host"] == socket.gethostname():
            return _process_is_alive(owner["pid"], owner["process_started"])
        return age_seconds < STALE_SECONDS


def _process_is_alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False
