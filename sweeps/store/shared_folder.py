"""Journal and leases in a folder that all drivers share, local or on NFS, as the contract suite checks them.

A run does not take a store yet: the engine and every verb that reads use the parts of this one directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.store.journal import JournalWriter
from sweeps.store.leases import ReplicateLeases
from sweeps.store.reader import read_since


class FolderJournal:
    """The journal as one driver writes it and everybody reads it; its file begins with its first event."""

    def __init__(self, folder: Path, sweep_id: str) -> None:
        self._folder, self._sweep_id = folder, sweep_id
        self._writer: JournalWriter | None = None

    def append(self, event: str, **fields: Any) -> None:
        """Write one event of this driver; it is durable when the call returns."""
        if self._writer is None:
            self._writer = JournalWriter(self._folder, self._sweep_id)
        self._writer.write(event, **fields)

    def read_since(self, cursor: Mapping[Path, int] | None) -> tuple[list[dict[str, Any]], dict[Path, int]]:
        """Return the complete events of all drivers since `cursor` (None: all), by time, and a new cursor."""
        return read_since(self._folder, cursor or {})

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


class FolderStore:
    """The store of one study: `journal/` and `leases/` of its results folder."""

    def __init__(self, results: Path) -> None:
        self.path = results

    def journal(self, sweep_id: str) -> FolderJournal:
        """Return the journal as the driver of this name sees it."""
        return FolderJournal(self.path / "journal", sweep_id)

    def leases(self, sweep_id: str) -> ReplicateLeases:
        """Return the leases of the driver of this name; its heartbeat begins when the context is entered."""
        return ReplicateLeases(self.path / "leases", sweep_id)
