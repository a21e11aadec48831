"""Files that `torch.save` writes, as archives: looked at without PyTorch, and without loading them."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

_OBJECT = "data.pkl"
"""The part of an archive that holds what was saved; tensors lie beside it."""


def damage(path: Path) -> str:
    """Return how a file differs from what `torch.save` wrote, by the checksums in it; empty if it is intact.

    Checked before loading, because `torch.load` ignores the checksums, and an out-of-memory must not count as
    damage.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts, damaged = archive.namelist(), archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        return f"it is empty or torn ({path.stat().st_size} bytes; {error})"
    if damaged:
        return f"its part {damaged} is damaged"
    is_ours = any(Path(part).name == _OBJECT for part in parts)
    return "" if is_ours else "it is an archive that torch.save did not write"


def sha256_of(path: Path) -> str:
    """Return the hash that identifies a file of weights by its content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
