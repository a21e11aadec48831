"""Disks that are full, for tests of what happens then."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, size: str = "900k") -> Iterator[Path]:
    """Mount a disk of a given size on `path`; skip the test where mounting is not permitted."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
    try:
        done = subprocess.run(command, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if done.returncode:
        pytest.skip("needs the right to mount")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: Path, *, spare_bytes: int = 0) -> Path:
    """Fill the disk of `path` but for `spare_bytes` (whole pages), and return the file that does it."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
        file.truncate(max(0, file.tell() - spare_bytes))
    return ballast


@contextmanager
def no_file_grows() -> Iterator[None]:
    """Let no file of this process get larger than it is allowed to: none at all. Needs no rights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def free_bytes(path: Path) -> int:
    """Return what is left on the disk of `path`."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
