"""The message for results that cannot be written: most often the disk is full."""

from __future__ import annotations

from pathlib import Path

from trainables.full_disk import full_disk


def write_failure(error: OSError, folder: Path, again: str) -> str:
    """Return a message: why `folder` cannot be written, and that `again` continues afterwards."""
    full = full_disk(error, folder)
    what = full or f"{error.filename or folder}: {error.strerror or error}"
    return f"{what}; nothing finished is lost; {'free space and ' if full else ''}continue with: {again}"
