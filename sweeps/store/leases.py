"""Which driver runs which replicate: one exclusively created file per lease, one heartbeat per driver."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from sweeps.store.journal import write_whole

HEARTBEAT_SECONDS = 5.0


STALE_SECONDS = 60.0
"""A driver on another machine whose heartbeat is older than this is taken for dead."""


@dataclass(frozen=True)
class Driver:
    """A driver as its heartbeat file tells."""

    sweep_id: str
    host: str
    pid: int
    started_at: float
    """Unix seconds, as `heartbeat_at`."""
    heartbeat_at: float

    @classmethod
    def read(cls, heartbeat: Path) -> Driver | None:
        """Return whose heartbeat file this is; None if it is gone, or torn by a full disk."""
        try:
            heartbeat_at = heartbeat.stat().st_mtime
            owner = json.loads(heartbeat.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return cls(heartbeat.stem, owner["host"], owner["pid"], owner["process_started"], heartbeat_at)

    @property
    def is_alive(self) -> bool:
        """Whether it is at work: here its process tells, on another machine its heartbeat."""
        if self.host == socket.gethostname():
            return _process_is_alive(self.pid, self.started_at)
        return time.time() - self.heartbeat_at < STALE_SECONDS

    def __str__(self) -> str:
        return f"{self.sweep_id}, process {self.pid} on {self.host}"


class ReplicateLeases:
    """Who is running which replicate: one exclusively created file per claim, one heartbeat per driver.

    A claim falls when its driver has died: on this machine when the process is gone, on another when its
    heartbeat is old.

    Args:
        folder: Where the files are; all drivers of a study share it.
        sweep_id: This driver.
        on_stop: Called once, from the heartbeat's thread, if somebody asks this driver to stop; told who.
    """

    def __init__(self, folder: Path, sweep_id: str, on_stop: Callable[[str], None] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.sweep_id = sweep_id
        self._on_stop = on_stop
        self._heartbeat_path = folder / f"{sweep_id}.driver"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="claim-heartbeat", daemon=True)

    def __enter__(self) -> ReplicateLeases:
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
            self._give_back(claim)
        _stop_request(self.folder, self.sweep_id).unlink(missing_ok=True)
        self._heartbeat_path.unlink(missing_ok=True)

    def _beat(self) -> None:
        beaten_at = time.time()  # not the monotonic clock, which stands still while a machine sleeps
        while not self._stop.wait(HEARTBEAT_SECONDS):
            has_beaten = False
            with suppress(OSError):  # a moment without the filesystem: the next beat tells
                os.utime(self._heartbeat_path)
                has_beaten = True
                self._hear_stop_request()
            silent_seconds = time.time() - beaten_at
            if silent_seconds > STALE_SECONDS:
                self._ask_to_stop(f"its silence of {silent_seconds:.0f} s: others may have taken its claims")
            if has_beaten:
                beaten_at = time.time()

    def _hear_stop_request(self) -> None:
        request = _stop_request(self.folder, self.sweep_id)
        if request.exists():
            self._ask_to_stop(request.read_text(encoding="utf-8"))

    def _ask_to_stop(self, by: str) -> None:
        if self._on_stop is not None:
            self._on_stop(by)
            self._on_stop = None

    def _path(self, config_id: str, seed: int) -> Path:
        return self.folder / f"{config_id}.seed={seed}.claim"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Serialise what changes claims: of two drivers that see a dead or returned claim, one takes it."""
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
        self._give_back(self._path(config_id, seed))

    def _give_back(self, path: Path) -> None:
        if self._owner_of(path) != self.sweep_id:
            return
        with self._locked():  # it may have been taken from us meanwhile
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
        return [driver.sweep_id for driver in living_drivers(folder)]

    def _is_alive(self, sweep_id: str | None) -> bool:
        driver = Driver.read(self.folder / f"{sweep_id}.driver") if sweep_id else None
        return driver is not None and driver.is_alive


def living_drivers(folder: Path) -> list[Driver]:
    """Return the drivers that are at work, by their claims folder."""
    drivers = [Driver.read(path) for path in sorted(folder.glob("*.driver"))]
    return [driver for driver in drivers if driver is not None and driver.is_alive]


def claims_in(folder: Path) -> dict[tuple[str, int], str]:
    """Return {(config_id, seed): sweep_id of the driver that claimed it}, dead drivers' claims included."""
    found: dict[tuple[str, int], str] = {}
    for path in folder.glob("*.claim"):
        config_id, _, seed = path.stem.rpartition(".seed=")
        with suppress(FileNotFoundError):  # released between listing and reading
            found[config_id, int(seed)] = path.read_text(encoding="utf-8")
    return found


def request_stop(folder: Path, sweep_id: str, *, by: str) -> None:
    """Ask a driver to stop in order; it hears that at its next heartbeat, on whatever machine it is."""
    write_whole(_stop_request(folder, sweep_id), by)


def _stop_request(folder: Path, sweep_id: str) -> Path:
    return folder / f"{sweep_id}.stop"


def _process_is_alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        # A killed process that its parent has not asked for yet is still listed, as a zombie.
        return abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
