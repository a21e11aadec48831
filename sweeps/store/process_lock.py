"""A lease: at most one living process does a job in a folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO


class Lease:
    """An exclusive lock on a file that names its holder.

    The kernel holds the lock and drops it when the holder dies, however it dies: a lease is never stale, so
    it needs no heartbeat, and a take-over has no race. The file itself stays; only the lock counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lease."""
        return self._file is not None

    def acquire(self) -> bool:
        """Take the lease unless another has it; return whether this object holds it now."""
        if self._file is not None:
            return True
        file = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        self._file = file
        return True

    def release(self) -> None:
        """Give the lease back; harmless if it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def holder(self) -> str:
        """Describe who took the lease last, for messages."""
        try:
            owner = json.loads(self.path.read_text(encoding="utf-8"))
            return f"process {owner['pid']} on {owner['host']}"
        except (FileNotFoundError, ValueError):  # between its lock and its first write the file is empty
            return "another process"
