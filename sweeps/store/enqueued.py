"""Points that somebody adds to a search while it runs: files in its results folder, read before each proposal."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from search_spaces.dimensions import freeze
from trainables.atomic_write import write_text_atomic

FOLDER = "enqueued"

Enqueued = tuple[str, dict[str, Any]]
"""A searched arm, and a point of its space."""


def enqueue(results: Path, arm: str, point: dict[str, Any]) -> Path:
    """Write a point for the search of an arm; return the file.

    Args:
        results: The study's results folder.
        arm: A searched arm.
        point: Dotted fields with their values.
    """
    folder = results / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.json"
    write_text_atomic(path, json.dumps({"arm": arm, "point": point}) + "\n")
    return path


def enqueued(results: Path) -> list[Enqueued]:
    """Return what was enqueued, the oldest first; what was proposed since is still among it."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((results / FOLDER).glob("*.json"))]
    return [(one["arm"], {name: freeze(value) for name, value in one["point"].items()}) for one in found]
