"""Compact journals: the journals of all drivers of a sweep merged into one small file that can be committed.

A compact journal is a journal: `read_journal` reads it, and every summary of final values equals that of the
full journal, because last reports and ends are kept unchanged. Earlier reports are thinned and rounded
to 6 significant digits; the sweep's provenance says so under `compact`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.records.description import JournalError
from analysis.records.journal import JournalState, merge, read_events

MAXIMUM_BYTES = 1_000_000
SIGNIFICANT_DIGITS = 6

_REPORTS_KEPT = (100, 50, 30, 20, 12, 8, 5, 3, 2, 1)
"""Reports kept per replicate: the first of these numbers for which the file is small enough."""


def compact_journal(source: Path, *, maximum_bytes: int = MAXIMUM_BYTES) -> str:
    """Merge the journals of a results folder into the text of one compact journal.

    Kept: the newest description of the sweep, when each claim was first declared, every start, end and reopening,
    and of each replicate's reports the last and some evenly spaced earlier ones.

    Args:
        source: A results folder (with `journal/` in it), or a folder of journal files.
        maximum_bytes: Largest size of the result.

    Raises:
        FileNotFoundError: If there is no journal.
        JournalError: If a line is unreadable, or no thinning makes the journal small enough.
    """
    folder = source / "journal" if (source / "journal").is_dir() else source
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    if not files:
        raise FileNotFoundError(f"no journal in {source}: expected {source / 'journal'}/*.jsonl")
    events = [event for file in files for event in read_events(file)]
    events.sort(key=lambda event: (event["time"], event["sweep_id"]))
    state = merge(events)
    if state.sweep is None:
        raise JournalError(f"{folder}: no journal has a `sweep` line")
    for kept in _REPORTS_KEPT:
        text = _render(events, state, kept)
        if len(text.encode()) <= maximum_bytes:
            return text
    raise JournalError(f"{folder}: more than {maximum_bytes} bytes even with one report a replicate")


def _compared_steps(state: JournalState) -> set[int]:
    """Return the steps at which a search compares candidates."""
    search = state.sweep.search if state.sweep else None
    return {rung.steps for rung in search.rungs} if search else set()


def _render(events: Sequence[dict[str, Any]], state: JournalState, kept: int) -> str:
    # Only reports that still count: a continued replicate has replaced some of its earlier ones.
    reports = [
        [(key, point.step, point.time) for point in replicate.reports]
        for key, replicate in state.replicates.items()
    ]
    chosen = {points[i] for points in reports for i in _spread(len(points), kept)}
    chosen |= {point for points in reports for point in points if point[1] in _compared_steps(state)}
    last = {points[-1] for points in reports if points}
    lines = []
    for event in events:
        if event["event"] in {"sweep", "interrupted"}:
            continue
        if event["event"] != "report":
            lines.append(event)
            continue
        report = ((event["config_id"], event["seed"]), event["step"], event["time"])
        if report in last:
            lines.append(event)
        elif report in chosen:
            lines.append({**event, "metrics": _rounded(event["metrics"])})
    note = {
        "reports": sum(map(len, reports)),
        "reports_kept": len(chosen),
        "significant_digits": SIGNIFICANT_DIGITS,
        "exact": "last report and end of every replicate",
        "drivers": len({event["sweep_id"] for event in events}),
        "declared_at": state.declared_at,
    }
    sweep = next(event for event in reversed(events) if event["event"] == "sweep")
    described = {**sweep, "provenance": {**sweep.get("provenance", {}), "compact": note}}
    return "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in (described, *lines))


def _spread(count: int, kept: int) -> list[int]:
    """Return up to `kept` evenly spaced indices below `count`: always the last, and from two on also the first."""
    if count <= kept:
        return list(range(count))
    if kept == 1:
        return [count - 1]
    return [round(i * (count - 1) / (kept - 1)) for i in range(kept)]


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.{SIGNIFICANT_DIGITS}g}") for name, value in metrics.items()}
