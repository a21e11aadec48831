"""The log of a search's decisions: events of the journal, written by one driver at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sweeps.store.journal import JournalWriter
from sweeps.store.leases import ReplicateLeases

DECIDING = ("search", 0)
"""The lease of the driver that is deciding; free again within milliseconds."""


class JournalLog:
    """Writes decisions to the journal under a lease, so that no two drivers decide the same.

    Args:
        writer: This driver's journal.
        leases: This driver's leases.
        read_journal: Reads what is new in the journals of all drivers.
        newest: Returns the time of the newest event of a search, perhaps of another driver.
    """

    def __init__(
        self,
        writer: JournalWriter,
        leases: ReplicateLeases,
        read_journal: Callable[[], None],
        newest: Callable[[str], float],
    ) -> None:
        self._writer, self._leases, self._read_journal, self._newest = writer, leases, read_journal, newest

    @contextmanager
    def deciding(self) -> Iterator[bool]:
        """Let nobody else decide while the block runs; yields False if another driver is deciding."""
        if not self._leases.acquire(*DECIDING):
            yield False
            return
        try:
            self._read_journal()
            yield True
        finally:
            self._leases.release(*DECIDING)

    def write(self, event: str, **fields: Any) -> None:
        """Write a decision, and read it back."""
        self._writer.follow(self._newest(f"search {fields['search']}"))
        self._writer.write(event, **fields)
        self._read_journal()
