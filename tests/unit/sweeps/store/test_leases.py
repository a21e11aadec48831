"""Leases between drivers that live and die, on this machine and on others whose clocks differ."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.store import leases
from sweeps.store.leases import (
    Driver,
    ReplicateLeases,
    filesystem_time,
    leases_in,
    living_drivers,
    request_stop,
)
from tests.support.machine.disks import no_file_grows
from tests.support.machine.heartbeats import NOBODY, dead_driver, far_driver

HOLD_AND_SAY = (
    "import sys, time, pathlib; from sweeps.store.leases import ReplicateLeases\n"
    "held = ReplicateLeases(pathlib.Path(sys.argv[1]), 'child').__enter__()\n"
    "assert held.acquire('c', 0); print('held', flush=True); time.sleep(600)"
)


def lease_of(folder: Path, sweep_id: str, seed: int = 0) -> Path:
    path = folder / f"c.seed={seed}.lease"
    path.write_text(sweep_id, encoding="utf-8")
    return path


def names(folder: Path) -> list[str]:
    return [driver.sweep_id for driver in living_drivers(folder)]


def until(condition: threading.Event | list[str], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition.is_set() if isinstance(condition, threading.Event) else condition:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("is_reaped", [True, False])
def test_the_leases_of_a_killed_driver_fall_at_once(is_reaped: bool, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD_AND_SAY, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == b"held\n"
        with ReplicateLeases(tmp_path, "b") as b:
            assert b.is_leased_by_another("c", 0) and not b.acquire("c", 0)
            child.kill()
            if is_reaped:
                child.wait()
            else:  # its parent has not asked for it yet: a zombie
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert names(tmp_path) == ["b"]
            assert not b.is_leased_by_another("c", 0)
            assert b.acquire("c", 0)
    assert not (tmp_path / "child.stop").exists(), "a dead process needs no request to stop"


def test_a_process_that_got_a_dead_drivers_number_is_not_that_driver(tmp_path: Path) -> None:
    path = dead_driver(tmp_path, "gone")
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": os.getpid()}), encoding="utf-8")
    assert names(tmp_path) == []


@pytest.mark.parametrize("offset_seconds", [-3600.0, -65.0, 65.0, 3600.0])
def test_a_clock_that_is_set_kills_no_driver_of_this_machine(
    offset_seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    with ReplicateLeases(tmp_path, "a") as a:
        assert a.acquire("c", 0)
        monkeypatch.setattr(time, "time", lambda: now() + offset_seconds)
        with ReplicateLeases(tmp_path, "b") as b:
            assert not b.acquire("c", 0)
            assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("age_seconds", [-3600.0, 65.0, 3600.0])
def test_a_drivers_lease_elsewhere_stands_while_its_heartbeat_changes_whatever_its_date(
    age_seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine's clock, or the one of the filesystem, is far from ours: its date tells nothing."""
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.3)
    heartbeat = far_driver(tmp_path, "far", age_seconds=age_seconds)
    lease_of(tmp_path, "far")
    with ReplicateLeases(tmp_path, "b") as b:
        for beat in range(10):
            then = heartbeat.stat().st_mtime + 0.1 * beat
            os.utime(heartbeat, (then, then))
            assert b.is_leased_by_another("c", 0) and not b.acquire("c", 0), beat
            time.sleep(0.1)


def test_a_drivers_lease_elsewhere_falls_once_its_heartbeat_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.4)
    far_driver(tmp_path, "far")
    lease_of(tmp_path, "far")
    with ReplicateLeases(tmp_path, "b") as b:
        started = time.monotonic()
        while not b.acquire("c", 0):
            assert time.monotonic() - started < 20
            time.sleep(0.02)
        assert time.monotonic() - started >= 0.4
        assert leases_in(tmp_path) == {("c", 0): "b"}
    told = (tmp_path / "far.stop").read_text(encoding="utf-8")
    assert told.startswith("b, which has taken its leases"), "if it lives after all, it stops"


@pytest.mark.parametrize(
    "other",
    [
        {"boot_id": "another-boot"},
        {"pid_namespace": "pid:[1]"},
        {"boot_id": None, "pid_namespace": None, "start_ticks": None},
    ],
)
def test_a_process_number_of_another_boot_or_namespace_or_of_an_old_version_is_not_looked_up(
    other: dict[str, str | None], tmp_path: Path
) -> None:
    """Containers may share a host's name: what is nobody here may be at work there."""
    heartbeat = dead_driver(tmp_path, "container")
    owner = {**json.loads(heartbeat.read_text(encoding="utf-8")), **other}
    heartbeat.write_text(json.dumps({k: v for k, v in owner.items() if v is not None}), encoding="utf-8")
    lease_of(tmp_path, "container")
    assert owner["host"] == socket.gethostname() and owner["pid"] == NOBODY
    assert names(tmp_path) == ["container"]
    with ReplicateLeases(tmp_path, "b") as b:
        assert not b.acquire("c", 0)


def test_a_driver_in_another_pid_namespace_is_seen_to_work(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    command = [unshare or "", "--pid", "--fork", "--kill-child"]
    if not unshare or subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to make a PID namespace")
    arguments = [*command, sys.executable, "-c", HOLD_AND_SAY, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        (driver,) = living_drivers(tmp_path)
        assert driver.host == socket.gethostname() and not driver.is_of_this_machine
        with ReplicateLeases(tmp_path, "b") as b:
            assert not b.acquire("c", 0)
        child.kill()


@pytest.mark.parametrize(("age_seconds", "at_work"), [(-3600.0, True), (1.0, True), (65.0, False)])
@pytest.mark.parametrize("our_clock", [0.0, 4e9])
def test_who_looks_once_judges_a_heartbeat_by_the_clock_of_the_filesystem(
    age_seconds: float, at_work: bool, our_clock: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far_driver(tmp_path, "far", age_seconds=age_seconds)
    monkeypatch.setattr(time, "time", lambda: our_clock)
    assert names(tmp_path) == (["far"] if at_work else [])
    assert {path.name for path in tmp_path.iterdir()} == {"far.driver"}, "looking leaves nothing behind"


def test_where_nothing_can_be_written_nobody_is_declared_dead(tmp_path: Path) -> None:
    assert filesystem_time(tmp_path / "not there") is None
    far_driver(tmp_path, "far", age_seconds=3600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "filesystem_time", lambda folder: None)
        assert names(tmp_path) == ["far"]
    assert names(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "h"}'])
def test_an_unreadable_heartbeat_keeps_nobody_alive(text: str, tmp_path: Path) -> None:
    (tmp_path / "torn.driver").write_text(text, encoding="utf-8")
    lease_of(tmp_path, "torn")
    with ReplicateLeases(tmp_path, "b") as b:
        assert names(tmp_path) == ["b"]
        assert b.acquire("c", 0)


def test_a_heartbeat_says_who_and_where(tmp_path: Path) -> None:
    with ReplicateLeases(tmp_path, "a"):
        driver = Driver.read(tmp_path / "a.driver")
    assert driver is not None and driver.is_of_this_machine
    assert (driver.host, driver.pid) == (socket.gethostname(), os.getpid())
    assert abs(driver.started_at - time.time()) < 60


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.2)
    yield


def test_a_driver_that_was_silent_too_long_stops(
    fast: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def unwritable(path: Path) -> None:
        raise OSError("no filesystem")

    with ReplicateLeases(tmp_path, "a", on_stop=asked.append):
        time.sleep(0.1)
        assert asked == []
        monkeypatch.setattr(os, "utime", unwritable)
        assert until(asked)
    assert len(asked) == 1
    assert "others may have taken its leases" in asked[0]


def test_a_driver_whose_clock_is_set_forward_works_on(
    fast: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    now = time.time
    with ReplicateLeases(tmp_path, "a", on_stop=asked.append):
        monkeypatch.setattr(time, "time", lambda: now() + 3600)
        time.sleep(0.2)
    assert asked == []


def test_a_driver_hears_once_that_it_shall_stop(fast: None, tmp_path: Path) -> None:
    asked: list[str] = []
    with ReplicateLeases(tmp_path, "a", on_stop=asked.append), ReplicateLeases(tmp_path, "b") as b:
        request_stop(tmp_path, "a", by="somebody")
        assert until(asked)
        request_stop(tmp_path, "a", by="somebody else")
        time.sleep(0.1)
        assert b.sweep_id == "b"
    assert asked == ["somebody"]
    assert {path.name for path in tmp_path.iterdir()} <= {"lock"}


def test_a_lease_that_does_not_fit_on_the_disk_is_nobodys(tmp_path: Path) -> None:
    with ReplicateLeases(tmp_path, "a") as a:
        with no_file_grows(), pytest.raises(OSError, match="File too large"):
            a.acquire("c", 0)
        assert not list(tmp_path.glob("*.lease"))
        assert a.acquire("c", 0)
