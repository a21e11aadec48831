"""A lock that at most one living process holds."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


class ProcessLock:
    """A lock on a file that names its holder.

    The kernel drops it when the holder dies, however it dies: it is never stale, needs no heartbeat, and can be
    taken over without a race. The file itself stays; only the lock counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # A filesystem without flock is an error: a lock file that merely exists would outlive its holder.
        self._lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)

    def acquire(self) -> bool:
        """Take the lock unless another has it; return whether this object holds it now.

        Raises:
            OSError: If the file cannot be opened or locked.
        """
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire()
        except Timeout:
            return False
        with suppress(OSError):  # the disk is full: the lock is held, but names no holder
            self.path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}), encoding="utf-8")
        return True

    def release(self) -> None:
        """Release the lock; without effect if it is not held."""
        self._lock.release()

    def holder(self) -> str:
        """Describe the last holder, for messages."""
        try:
            owner = json.loads(self.path.read_text(encoding="utf-8"))
            return f"process {owner['pid']} on {owner['host']}"
        except (FileNotFoundError, ValueError):  # between the lock and the first write the file is empty
            return "another process"
