"""`export --what published`: results as the logs that the π-spiral experiments guide documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.results.published import METRIC_KEYS, SYSTEM_COLUMNS, TABLE_SUFFIX, metric_rows, system_logs
from sweeps.cli.diagnosis.files import POSITIONS_FILE, made_folder, write_positions_csv, write_rows
from sweeps.cli.stored_sweep import StoredSweep, resolved_fields
from sweeps.console import Output
from sweeps.errors import UserError, writing

if TYPE_CHECKING:
    from sweeps.cli.schemas.types import ExportJson


def export_published(output: Output, stored: StoredSweep, to: Path, *, force: bool) -> None:
    """Write the logs of a study to a folder, those that it has."""
    made_folder(to)
    if any(to.iterdir()) and not force:
        raise UserError(f"--to {to}: is not empty; give another folder, or --force to replace the files in it")
    state, sweep, folder = stored.state, stored.sweep, stored.folder
    rows = list(metric_rows(state, sweep, lambda key: _tables_in(folder.replicate(*key))))
    logs = list(system_logs(state, sweep, lambda arm: resolved_fields(folder.path, arm) or arm.parameters))
    if not logs:
        raise UserError(f"{stored.experiment} has no finished replicate to export yet; nothing was written")
    files = []
    with writing(f"--to {to}"):
        if rows:
            files.append(to / "metrics.jsonl")
            files[0].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        for log in logs:
            made_folder(to / "system" / log.arm)
            files.append(write_rows(to / "system" / log.arm / f"seed={log.seed}.csv", SYSTEM_COLUMNS, log.rows))
        files.append(write_positions_csv(to / POSITIONS_FILE))
    num_rows = len(rows) + sum(len(log.rows) for log in logs)
    if output.emit:
        written: ExportJson = {
            "path": str(to.resolve()),
            "what": "published",
            "rows": num_rows,
            "columns": list(METRIC_KEYS if rows else SYSTEM_COLUMNS),
            "files": [str(path.resolve()) for path in files],
        }
        output.emit(written)
    lacking = "" if rows else "; no task of it leaves a table for metrics.jsonl"
    output.say(f"{len(files)} files, {num_rows} rows: {to.resolve()}{lacking}")


def _tables_in(replicate: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(replicate.glob(f"*{TABLE_SUFFIX}"))}
