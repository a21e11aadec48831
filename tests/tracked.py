"""A study with results of every kind, as a journal and as MLflow holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweeps.tracking.tracker import default_tracking_uri, project
from tests.journals import config_id, journal_events, write_journal
from tests.mlflow_contents import contents

EXPERIMENT = "kuramoto_phase_a@laptop"
ARMS = {"baseline": 2.48, "coupling_2": 2.73, "coupling_0": 2.47}
STATUSES = {("coupling_2", 0): "diverged", ("coupling_0", 1): "crashed", ("coupling_0", 2): None}
EVENTS = journal_events(ARMS, seeds=range(3), statuses=STATUSES)
SUBSET = "val_subset/bits_per_char"
"""Reported at every step that reports at all; the whole split is scored at the last only."""


def journal(results: Path, events: list[dict[str, Any]] = EVENTS, name: str = "a") -> Path:
    return write_journal(results / "study" / "laptop" / "journal" / f"{name}.jsonl", events).parent


def projected(results: Path, events: list[dict[str, Any]] = EVENTS) -> dict[str, dict[str, Any]]:
    summary = project(journal(results, events), default_tracking_uri(results), EXPERIMENT)
    assert not summary, str(summary)
    assert summary.num_events == len(events)
    return contents(results / "mlflow.db")


def key(arm: str, seed: int | None = None) -> str:
    return f"{EXPERIMENT}/{config_id(arm)}" + ("" if seed is None else f"/{seed}")
