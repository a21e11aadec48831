"""Which code computes: two results of different code are not replicates of one another."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_COMPUTING = (
    "batch.py",
    "metric.py",
    "schema.py",
    "randomness.py",
    "config",
    "data",
    "layers",
    "architectures",
    "tasks",
    "training",
)
"""What decides a number; the rest of this package carries assignments and results."""


@cache
def code_hash() -> str:
    """Return the hash of the sources that compute, as they are on this machine; committed or not.

    Plugins are not in it: each is part of the `config_id` of what it registers.
    """
    return hash_of_sources(Path(__file__).parent)


def hash_of_sources(package: Path) -> str:
    """Return the hash of the computing modules in `package`, their names included: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in _COMPUTING:
        path = package / name
        for source in [path] if path.is_file() else sorted(path.rglob("*.py")):
            content = source.read_bytes()
            digest.update(f"{source.relative_to(package).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:12]
