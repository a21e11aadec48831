"""Atomic writes: files appear completely or not at all, and survive a power loss."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})
"""Errors of a filesystem that cannot fsync a folder, such as some network mounts: there the rename must suffice."""


def write_text_atomic(path: Path, text: str) -> None:
    """Write a file such that a reader sees either the old text or all of the new one.

    Raises:
        OSError: If it cannot be written; the old file, if there was one, is unchanged.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; the file written there becomes `path` at the end of the block.

    If the block raises, `path` stays unchanged and the temporary file is removed.

    Raises:
        OSError: If the file cannot be brought to disk or renamed.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        # Sync the file before the rename: otherwise a power loss may leave the new name with an empty file.
        sync(temporary)
        temporary.replace(path)
        sync(path.parent, is_folder=True)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path, *, is_folder: bool = False) -> None:
    """Wait until a file or folder is on the disk.

    Raises:
        OSError: If that fails, but for folders of a filesystem that cannot.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (is_folder and error.errno in _NO_SYNC):
            raise
    finally:
        os.close(descriptor)
