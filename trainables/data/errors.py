"""The error for unavailable data."""

from __future__ import annotations


class DataError(ValueError):
    """A task's data is missing or unreadable; the message says where it was looked for and what to do."""
