"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import psutil

SECONDS = 600
"""However busy a machine is, what takes longer hangs."""


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Return once `condition` holds; fail after `SECONDS`."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {SECONDS} s for {what}"
        time.sleep(0.05)


def has_ended(pid: int) -> bool:
    """Return whether a process has ended; its entry stays, as a zombie, until its parent has asked for it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def answers(address: str) -> bool:
    """Return whether a server of MLflow is ready at an address."""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
