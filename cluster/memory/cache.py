"""Estimates cached between processes: a few hundred bytes each, in the user's cache folder."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from cluster.memory.estimate import MemoryEstimate
from trainables.atomic_write import write_text_atomic
from trainables.code_hash import code_hash
from trainables.user_cache import cache_folder


class EstimateCache:
    """Estimates by key, one file each.

    Keys depend on the versions of PyTorch, of the code that trains and of the code that estimates. The files
    may be removed at any time; if the folder cannot be written, nothing is cached, and estimates only take longer.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder("estimates")

    def find(self, key: str) -> MemoryEstimate | None:
        """Return the estimate cached under `key`; None if there is none, or it cannot be read."""
        try:
            return MemoryEstimate(**json.loads(self._path(key).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # absent, not JSON (cut off by a full disk), or not an estimate
            return None

    def keep(self, key: str, found: MemoryEstimate) -> None:
        """Cache an estimate under `key`, atomically for readers."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomic(path, json.dumps(asdict(found)))
        except OSError:
            return  # a read-only home, a full disk: the next process estimates again

    def _path(self, key: str) -> Path:
        text = f"{torch.__version__} {code_hash()} {_estimating_code()} {key}"
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


@functools.cache
def _estimating_code() -> str:
    """Return the hash of the modules that estimate."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
