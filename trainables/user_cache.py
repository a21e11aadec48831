"""The user's cache: what may be removed at any time, because it can be had or made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return a folder of the cache, which need not exist: `$XDG_CACHE_HOME/phasesweep/NAME`, by default below
    `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "phasesweep" / name
