"""Messages for results that cannot be written: most often the disk is full."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space on the disk; the user's quota is exhausted; the process's file size limit is reached."""


def full_disk(error: BaseException, folder: Path) -> str | None:
    """Return `no space left on …` if that is the cause of an error; None for any other.

    Args:
        error: Any exception, perhaps a library's own that wraps the cause.
        folder: The folder that was written to, for an error that names no file.
    """
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return f"no space left on {_place(cause, folder)}"
    return None


def write_failure(error: OSError, folder: Path, again: str) -> str:
    """Return a message: why `folder` cannot be written, and that `again` continues afterwards."""
    full = full_disk(error, folder)
    what = full or f"{_place(error, folder)}: {error.strerror or error}"
    return f"{what}; nothing finished is lost; {'free space and ' if full else ''}continue with: {again}"


def _place(error: OSError, folder: Path) -> str:
    return str(error.filename or folder)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
