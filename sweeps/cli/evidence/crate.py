"""Metadata of a kit in RO-Crate's form: one JSON-LD file over a folder, by the profile Process Run Crate.

It says what each file is, with its hash, and which program made the journal from which study, when. Replicates are
data of the journal, not actions of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

METADATA = "ro-crate-metadata.json"
_CONTEXT = "https://w3id.org/ro/crate/1.2/context"
_PROFILES = ("https://w3id.org/ro/crate/1.2", "https://w3id.org/ro/wfrun/process/0.5")
_LICENCE = "https://spdx.org/licenses/Apache-2.0"
_TYPES = {
    ".csv": "text/csv",
    ".diff": "text/x-diff",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".sh": "application/x-sh",
    ".yaml": "application/yaml",
}
Entity = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the crate says of the sweep."""

    name: str
    version: str
    """Of phasesweep."""
    commit: str | None
    started_at: float
    """Unix seconds."""
    ended_at: float
    study: str
    """File of the study, relative to the crate."""
    journal: str
    """File of the journal."""
    code: str
    """File that says which code it was."""


def crate(folder: Path, meanings: Mapping[str, str], run: Run) -> Entity:
    """Return the metadata of a folder.

    Args:
        folder: Every file in it is described, but the metadata itself.
        meanings: What each file is, by its path.
        run: The sweep.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    described = [_file(folder, name, meanings.get(name, "")) for name in files if name != METADATA]
    program = {
        "@id": "#phasesweep",
        "@type": "SoftwareApplication",
        "name": "phasesweep",
        "description": "replicated sweeps of phase and oscillator language models",
        "version": f"{run.version}, commit {run.commit}" if run.commit else run.version,
        "url": {"@id": run.code},
    }
    licence = {"@id": _LICENCE, "@type": "CreativeWork", "name": "Apache License 2.0", "description": "Apache-2.0"}
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": run.name,
        "description": f"{run.name}: journal, study, verdicts and what is needed to run it again",
        "datePublished": _time(run.ended_at)[:10],
        "license": {"@id": _LICENCE},
        "conformsTo": {"@id": _PROFILES[1]},
        "hasPart": [{"@id": entity["@id"]} for entity in described],
        "mentions": {"@id": "#sweep"},
    }
    action = {
        "@id": "#sweep",
        "@type": "CreateAction",
        "name": f"run of {run.name}",
        "description": "training and scoring of every replicate, each an event of the journal",
        "instrument": {"@id": "#phasesweep"},
        "object": {"@id": run.study},
        "result": {"@id": run.journal},
        "startTime": _time(run.started_at),
        "endTime": _time(run.ended_at),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    descriptor = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": _PROFILES[0]},
    }
    profile = {
        "@id": _PROFILES[1],
        "@type": ["CreativeWork", "Profile"],
        "name": "Process Run Crate",
        "version": "0.5",
    }
    return {"@context": _CONTEXT, "@graph": [descriptor, root, *described, licence, program, action, profile]}


def damaged(folder: Path) -> list[str]:
    """Return the files that are missing or differ from what the metadata says of them.

    Raises:
        ValueError: If the metadata is missing or is none.
    """
    try:
        graph = json.loads((folder / METADATA).read_text(encoding="utf-8"))["@graph"]
        known = {entity["@id"]: entity["sha256"] for entity in graph if entity["@type"] == "File"}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / METADATA}: no metadata of a kit ({error})") from error
    return [
        name
        for name, sha256 in known.items()
        if not (folder / name).is_file() or hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha256
    ]


def _file(folder: Path, name: str, meaning: str) -> Entity:
    content = (folder / name).read_bytes()
    return {
        "@id": name,
        "@type": "File",
        "name": Path(name).name,
        "description": meaning,
        "encodingFormat": _TYPES.get(Path(name).suffix, "text/plain"),
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="seconds")
