"""One process holds the lock, the others learn who it is, and its death frees it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.store.process_lock import ProcessLock
from tests.support.machine.disks import no_file_grows

HOLD = (
    "import sys, time, pathlib; from sweeps.store.process_lock import ProcessLock\n"
    "lock = ProcessLock(pathlib.Path(sys.argv[1])); assert lock.acquire()\n"
    "print('held', flush=True); time.sleep(600)"
)


def test_one_holds_it_and_is_named(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path / "lock"), ProcessLock(tmp_path / "lock")
    assert second.holder() == "another process"
    assert first.acquire() and first.acquire()
    assert not second.acquire()
    assert second.holder() == f"process {os.getpid()} on {socket.gethostname()}"
    second.release()
    assert not second.acquire(), "what is not held cannot be given back"
    first.release()
    assert second.acquire()
    second.release()


def test_a_killed_holder_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        mine = ProcessLock(path)
        assert not mine.acquire()
        assert mine.holder().startswith(f"process {child.pid} on ")
        child.kill()
        child.wait()
        assert mine.acquire()
    mine.release()


def test_a_path_that_cannot_be_locked_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        ProcessLock(tmp_path).acquire()


def test_a_full_disk_takes_the_name_and_not_the_lock(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "lock")
    with no_file_grows():
        assert lock.acquire()
    assert not ProcessLock(tmp_path / "lock").acquire()
    assert lock.holder() == "another process"
    lock.release()
