"""A study with results of every kind, as a journal and as trackers hold it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from sweeps.tracking.mlflow_store import MlflowTracker, open_client
from sweeps.tracking.sync import TrackerSync, sync_journal
from sweeps.tracking.uri import default_tracking_uri
from tests.support.machine.memory_tracker import MemoryTracker
from tests.support.machine.mlflow_contents import contents
from tests.support.sweeps.journals import config_id, journal_events, write_journal

EXPERIMENT = "kuramoto_phase_a@laptop"
ARMS = {"baseline": 2.48, "coupling_2": 2.73, "coupling_0": 2.47}
STATUSES = {("coupling_2", 0): "diverged", ("coupling_0", 1): "crashed", ("coupling_0", 2): None}
EVENTS = journal_events(ARMS, seeds=range(3), statuses=STATUSES)
SUBSET = "val_subset/bits_per_char"
"""Reported at every step that reports at all; the whole split is scored at the last only."""


@cache
def _empty_database() -> Path:
    """Make MLflow's schema once in a session: it takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="phasesweep-tests-"))
    atexit.register(shutil.rmtree, folder)
    open_client(default_tracking_uri(folder))
    return folder / "mlflow.db"


def give_database(results: Path) -> Path:
    """Put an empty MLflow database into a results folder; what it held before is gone."""
    return shutil.copy(_empty_database(), results / "mlflow.db")


def journal(results: Path, events: list[dict[str, Any]] = EVENTS, name: str = "a") -> Path:
    return write_journal(results / "study" / "laptop" / "journal" / f"{name}.jsonl", events).parent


def projected(results: Path, events: list[dict[str, Any]] = EVENTS) -> dict[str, dict[str, Any]]:
    """Return what MLflow holds after a `sync`, in the database that the results have."""
    summary = sync_journal(journal(results, events), MlflowTracker(default_tracking_uri(results)), EXPERIMENT)
    assert not summary.needs_attention, str(summary)
    assert summary.num_events == len(events)
    return contents(results / "mlflow.db")


def in_memory(
    results: Path, events: list[dict[str, Any]] = EVENTS, tracker: MemoryTracker | None = None
) -> dict[str, dict[str, Any]]:
    """Return the same of a tracker in memory, one that holds nothing yet unless it is given."""
    tracker = tracker or MemoryTracker()
    sync = TrackerSync(journal(results, events), tracker, EXPERIMENT)
    assert sync.step(final=True), sync.error
    return {
        key: {
            "name": run.record.name,
            "status": run.record.status,
            "start": round(run.record.started_at * 1000),
            "end": None if run.record.ended_at is None else round(run.record.ended_at * 1000),
            "parent": run.record.parent,
            "tags": dict(run.record.tags),
            "params": dict(run.record.parameters),
            "points": sorted((name, *value) for name, value in run.points),
            "latest": {name: (value.value, value.step, value.at_ms) for name, value in run.latest.items()},
        }
        for key, run in tracker.runs.items()
    }


def key(arm: str, seed: int | None = None) -> str:
    return f"{EXPERIMENT}/{config_id(arm)}" + ("" if seed is None else f"/{seed}")
