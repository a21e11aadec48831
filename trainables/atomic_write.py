"""Files that appear whole or not at all, and are still there after a power loss."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What a filesystem answers that cannot fsync a folder, as some network mounts: its rename has to do."""


def write_text_atomic(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or all of the new one.

    Raises:
        OSError: If it cannot be written; the old file, if there was one, is unchanged.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; what was written there becomes `path` at the end of the block.

    If the block raises, `path` stays what it was and the temporary file is removed.

    Raises:
        OSError: If the file cannot be brought to disk or renamed.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        # The file before its name: else a power loss may leave the new name on an empty file.
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent, is_folder=True)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path, *, is_folder: bool = False) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (is_folder and error.errno in _NO_SYNC):
            raise
    finally:
        os.close(descriptor)
