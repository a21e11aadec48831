"""Leases: which driver runs which replicate. A lease becomes free when its driver has died, on any machine.

Clocks of different machines are never compared: whether a heartbeat still changes is judged by the observer's
monotonic clock or, in a verb that looks only once, by the clock of the filesystem, which dates all heartbeats.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock

from trainables.atomic_write import write_text_atomic

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""A driver whose process cannot be looked up is taken for dead when its heartbeat has not changed this long."""


@dataclass(frozen=True)
class Driver:
    """A driver, from its heartbeat file."""

    sweep_id: str
    host: str
    pid: int
    started_at: float
    """Unix seconds, by its machine's clock."""
    heartbeat_at: float
    """Unix seconds, by the filesystem's clock."""
    boot_id: str = ""
    """Of its machine's kernel; empty in heartbeats of versions before this field, as the two below."""
    pid_namespace: str = ""
    """PID namespace of `pid`: containers on one machine may number their processes separately."""
    start_ticks: int = -1
    """When its process started, in ticks since the boot, which setting a clock does not change."""

    @classmethod
    def read(cls, heartbeat: Path) -> Driver | None:
        """Return the driver of a heartbeat file; None if it is gone or unreadable."""
        try:
            # Opened before reading its date: NFS asks the server only at an open, and caches dates for a minute.
            with heartbeat.open(encoding="utf-8") as file:
                owner = json.load(file)
                heartbeat_at = os.fstat(file.fileno()).st_mtime
            known = {name: owner[name] for name in ("boot_id", "pid_namespace", "start_ticks") if name in owner}
            return cls(heartbeat.stem, owner["host"], owner["pid"], owner["process_started"], heartbeat_at, **known)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @property
    def is_of_this_machine(self) -> bool:
        """Whether its PID names the same process here."""
        here = (socket.gethostname(), _boot_id(), _pid_namespace())
        return self.boot_id != "" and (self.host, self.boot_id, self.pid_namespace) == here

    def __str__(self) -> str:
        return f"{self.sweep_id}, process {self.pid} on {self.host}"


class Liveness:
    """Finds which drivers are at work: by their process where it can be looked up, else by their heartbeat.

    Args:
        folder: Where the heartbeats are.
        looks_once: Judge a heartbeat at first sight by its age on the filesystem's clock, as a verb must that looks
            only once. A driver watches whether a heartbeat changes instead, so that a jump of that clock cannot
            make it run a replicate that another driver runs.
    """

    def __init__(self, folder: Path, *, looks_once: bool = False) -> None:
        self._folder = folder
        self._looks_once = looks_once
        self._seen: dict[str, tuple[Driver, float]] = {}
        """The last change of each heartbeat: its value then, and the time by our monotonic clock."""

    def is_at_work(self, sweep_id: str) -> bool:
        """Return whether the driver of this name is at work."""
        driver = Driver.read(self._folder / f"{sweep_id}.driver")
        return driver is not None and self._is_alive(driver)

    def drivers(self) -> list[Driver]:
        """Return the drivers that are at work, by name."""
        found = [Driver.read(path) for path in sorted(self._folder.glob("*.driver"))]
        return [driver for driver in found if driver is not None and self._is_alive(driver)]

    def _is_alive(self, driver: Driver) -> bool:
        if driver.is_of_this_machine:
            return _start_ticks(driver.pid) == driver.start_ticks
        now = time.monotonic()
        before, since = self._seen.get(driver.sweep_id, (None, now))
        if before == driver:
            return now - since < STALE_SECONDS
        self._seen[driver.sweep_id] = (driver, now)
        return before is not None or not self._looks_once or not self._is_old(driver)

    def _is_old(self, driver: Driver) -> bool:
        """Return whether a heartbeat is old by the filesystem's clock; False if that cannot be read."""
        now = filesystem_time(self._folder)
        return now is not None and now - driver.heartbeat_at > STALE_SECONDS


def filesystem_time(folder: Path) -> float | None:
    """Return the Unix time by the clock that dates the files in `folder`: the file server's if it is shared.

    Returns None if the folder is not writable.
    """
    probe = folder / f".clock.{uuid.uuid4().hex}.tmp"
    try:
        probe.touch()
        os.utime(probe)  # the same call dates heartbeats
        return probe.stat().st_mtime
    except OSError:
        return None
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


class ReplicateLeases:
    """The leases of one driver: one file each, and a heartbeat for all of them.

    Args:
        folder: Where the files are; all drivers of a study share it.
        sweep_id: This driver.
        on_stop: Called once, from the heartbeat's thread, with the name of who asks this driver to stop.
    """

    def __init__(self, folder: Path, sweep_id: str, on_stop: Callable[[str], None] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.sweep_id = sweep_id
        self._on_stop = on_stop
        self._liveness = Liveness(folder)
        self._heartbeat_path = folder / f"{sweep_id}.driver"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)

    def __enter__(self) -> ReplicateLeases:
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_started": time.time(),
            "boot_id": _boot_id(),
            "pid_namespace": _pid_namespace(),
            "start_ticks": _start_ticks(os.getpid()),
        }
        write_text_atomic(self._heartbeat_path, json.dumps(owner))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for lease in self.folder.glob("*.lease"):
            self._give_back(lease)
        _stop_request(self.folder, self.sweep_id).unlink(missing_ok=True)
        self._heartbeat_path.unlink(missing_ok=True)

    def _beat(self) -> None:
        beaten_at = _seconds_since_boot()
        while not self._stop.wait(HEARTBEAT_SECONDS):
            has_heartbeat = False
            with suppress(OSError):  # the filesystem may be away for a moment; the next beat tries again
                by = self.heartbeat()
                has_heartbeat = True
                if by is not None:
                    self._ask_to_stop(by)
            silent_seconds = _seconds_since_boot() - beaten_at
            if silent_seconds > STALE_SECONDS:
                self._ask_to_stop(f"its silence of {silent_seconds:.0f} s: others may have taken its leases")
            if has_heartbeat:
                beaten_at = _seconds_since_boot()

    def heartbeat(self) -> str | None:
        """Show the others that this driver is alive; return who has asked it to stop, or None."""
        os.utime(self._heartbeat_path)
        request = _stop_request(self.folder, self.sweep_id)
        return request.read_text(encoding="utf-8") if request.exists() else None

    def drivers(self) -> list[str]:
        """Return the names of the drivers that are at work, this one included."""
        return [driver.sweep_id for driver in self._liveness.drivers()]

    def request_stop(self, sweep_id: str, *, by: str) -> None:
        """Ask a driver to stop."""
        request_stop(self.folder, sweep_id, by=by)

    def _ask_to_stop(self, by: str) -> None:
        if self._on_stop is not None:
            self._on_stop(by)
            self._on_stop = None

    def _path(self, config_id: str, seed: int) -> Path:
        return _lease_path(self.folder, config_id, seed)

    def acquire(self, config_id: str, seed: int) -> bool:
        """Take the lease of a replicate; return False if a living driver has it."""
        path = self._path(config_id, seed)
        with _locked(self.folder):
            owner = _owner_of(path)
            if owner is not None:
                if self._liveness.is_at_work(owner):
                    return False
                self._tell(owner)
                path.unlink()
            try:
                path.write_text(self.sweep_id, encoding="utf-8")
            except OSError:
                path.unlink(missing_ok=True)  # the disk is full: an empty file would name no holder
                raise
        return True

    def _tell(self, owner: str) -> None:
        """Ask a driver whose lease is taken over to stop, if only its heartbeat suggests that it is dead.

        It may be alive but cut off or frozen, and then stops as soon as it continues. It cannot rely on noticing
        the pause itself: a paused virtual machine does not.
        """
        driver = Driver.read(self.folder / f"{owner}.driver")
        if driver is not None and not driver.is_of_this_machine:
            by = f"{self.sweep_id}, which has taken its leases: its heartbeat stood still for {STALE_SECONDS:.0f} s"
            self.request_stop(owner, by=by)

    def release(self, config_id: str, seed: int) -> None:
        """Release our lease: the replicate has ended in the journal. Without effect if the lease was taken over."""
        self._give_back(self._path(config_id, seed))

    def _give_back(self, path: Path) -> None:
        if _owner_of(path) != self.sweep_id:
            return
        with _locked(self.folder):  # it may have been taken from us meanwhile
            if _owner_of(path) == self.sweep_id:
                path.unlink(missing_ok=True)

    def is_leased_by_another(self, config_id: str, seed: int) -> bool:
        """Return whether another living driver has this replicate."""
        owner = _owner_of(self._path(config_id, seed))
        return owner is not None and owner != self.sweep_id and self._liveness.is_at_work(owner)

    def held_by_others(self) -> set[tuple[str, int]]:
        """Return the keys that other living drivers have leased, from one listing of the folder."""
        owners = {key: owner for key, owner in leases_in(self.folder).items() if owner != self.sweep_id}
        living = {owner for owner in set(owners.values()) if self._liveness.is_at_work(owner)}
        return {key for key, owner in owners.items() if owner in living}


def living_drivers(folder: Path) -> list[Driver]:
    """Return the drivers that are at work on the study with this leases folder."""
    return Liveness(folder, looks_once=True).drivers()


@contextmanager
def not_leased(folder: Path, config_id: str, seed: int) -> Iterator[bool]:
    """Let nobody lease a replicate while the block runs; yields False if a living driver has it already."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        owner = _owner_of(_lease_path(folder, config_id, seed))
        yield owner is None or not Liveness(folder, looks_once=True).is_at_work(owner)


def _locked(folder: Path) -> AbstractContextManager[object]:
    """Serialise changes of leases: of two drivers that see the same free or stale lease, one takes it."""
    return FileLock(folder / "lock", poll_interval=0.005, fallback_to_soft=False)


def _lease_path(folder: Path, config_id: str, seed: int) -> Path:
    return folder / f"{config_id}.seed={seed}.lease"


def leases_in(folder: Path) -> dict[tuple[str, int], str]:
    """Return {(config_id, seed): sweep_id of the driver that holds it}, dead drivers' leases included."""
    found: dict[tuple[str, int], str] = {}
    for path in folder.glob("*.lease"):
        config_id, _, seed = path.stem.rpartition(".seed=")
        if owner := _owner_of(path):
            found[config_id, int(seed)] = owner
    return found


def request_stop(folder: Path, sweep_id: str, *, by: str) -> None:
    """Ask a driver to stop; it learns that at its next heartbeat, on any machine."""
    write_text_atomic(_stop_request(folder, sweep_id), by)


def _stop_request(folder: Path, sweep_id: str) -> Path:
    return folder / f"{sweep_id}.stop"


def _owner_of(lease: Path) -> str | None:
    try:
        return lease.read_text(encoding="utf-8")
    except FileNotFoundError:  # released between listing and reading
        return None


def _boot_id() -> str:
    """Return the id of this boot of this kernel; empty on systems without one, where heartbeats decide."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since the boot; None if there is no such process any more."""
    try:
        # After the name, which may contain anything, come the state and, 19 fields later, the start.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # A killed process is listed as a zombie until its parent waits for it.
    return None if fields[0] in {b"Z", b"X"} else int(fields[19])


def _seconds_since_boot() -> float:
    """Return a time that setting the clock does not change and that continues while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
