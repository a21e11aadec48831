"""Heartbeat files of drivers that are not at work in this process."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from sweeps.store import leases

NOBODY = 2**22 + 1
"""No process has this number: it is beyond the largest that Linux gives."""


def dead_driver(folder: Path, sweep_id: str) -> Path:
    """Leave the heartbeat of a driver that was killed on this machine, and return its path."""
    here = {"host": socket.gethostname(), "boot_id": leases._boot_id(), "pid_namespace": leases._pid_namespace()}
    return _write(folder, sweep_id, {**here, "pid": NOBODY, "process_started": 0.0, "start_ticks": 1})


def far_driver(folder: Path, sweep_id: str, *, age_seconds: float = 0.0, **fields: object) -> Path:
    """Leave the heartbeat of a driver on another machine, as it was `age_seconds` ago, and return its path."""
    owner = {"host": f"not-{socket.gethostname()}", "pid": 1, "process_started": time.time() - 100}
    path = _write(folder, sweep_id, {**owner, "boot_id": "b", "pid_namespace": "p", "start_ticks": 1, **fields})
    then = path.stat().st_mtime - age_seconds
    os.utime(path, (then, then))
    return path


def _write(folder: Path, sweep_id: str, owner: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sweep_id}.driver"
    path.write_text(json.dumps(owner), encoding="utf-8")
    return path
