"""Recognising a full disk in an error: nobody's fault who happened to write, and met by whoever writes next."""

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
            return f"no space left on {cause.filename or folder}"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
