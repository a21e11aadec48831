"""What an MLflow database holds, without its random run ids, so that two of them can be compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any


def contents(database: Path) -> dict[str, dict[str, Any]]:
    """Return {phasesweep.key: run} of the runs that are not deleted."""
    found = all_runs(database)
    by_key = dict(found)
    assert len(by_key) == len(found), "two runs show the same thing"
    return by_key


def all_runs(database: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (phasesweep.key, run) of the runs that are not deleted, read by SQL and not by MLflow."""
    with closing(sqlite3.connect(database)) as connection:
        return runs_of(connection.execute)


def runs_of(execute: Callable[[str], Iterable[Sequence[Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Return the same by a function that executes a query, in whatever database."""

    def grouped(query: str) -> dict[str, list[tuple[Any, ...]]]:
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for run_id, *rest in execute(query):
            rows.setdefault(run_id, []).append(tuple(rest))
        return rows

    of_runs = "select run_uuid, name, status, start_time, end_time from runs where lifecycle_stage = 'active'"
    runs = list(execute(of_runs))
    tags = {run: dict(rows) for run, rows in grouped("select run_uuid, key, value from tags").items()}
    params = {run: dict(rows) for run, rows in grouped("select run_uuid, key, value from params").items()}
    points = grouped("select run_uuid, key, step, timestamp, value from metrics")
    latest = grouped("select run_uuid, key, value, step, timestamp from latest_metrics")
    keys = {run_id: tags[run_id]["phasesweep.key"] for run_id, *_ in runs}
    found = []
    for run_id, name, status, start, end in runs:
        own = tags[run_id]
        parent = own.pop("mlflow.parentRunId", None)
        run = {
            "name": name,
            "status": status,
            "start": start,
            "end": end,
            "parent": keys[parent] if parent else None,
            "tags": own,
            "params": params.get(run_id, {}),
            "points": sorted(points.get(run_id, [])),
            "latest": {key: tuple(rest) for key, *rest in latest.get(run_id, [])},
        }
        found.append((keys[run_id], run))
    return found
