"""What to say when results can no longer be written: most often a full disk."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No block left; none left to this user; none left to this process."""


def full_disk(error: BaseException, folder: Path) -> str | None:
    """Return `no space left on …` if that is what an error goes back to; None if it is another.

    Args:
        error: Whatever was raised, maybe by a library that had its own words for it.
        folder: What was written to, where the error does not say.
    """
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return f"no space left on {_place(cause, folder)}"
    return None


def write_failure(error: OSError, folder: Path, again: str) -> str:
    """Return what keeps `folder` from being written, and that `again` goes on where it ended."""
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
