"""The verb `export`: a study's journal as a CSV or Parquet file, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from analysis.results.export import SUFFIXES, WHATS, rows_of, write_table
from sweeps.cli.stored_sweep import load_results, resolved_fields
from sweeps.console import Output
from sweeps.errors import UserError, nearest
from sweeps.studies.library import StudyArguments
from trainables.atomic_write import atomic_path

if TYPE_CHECKING:
    from sweeps.cli.json_types import ExportJson


def export(output: Output, study: StudyArguments, *, to: Path, what: str, force: bool) -> None:
    """Write a table of a study to a file."""
    chosen = next((known for known in WHATS if known == what), None)
    if chosen is None:
        raise UserError(f"--what {what}: {nearest(what, WHATS)}")
    if to.suffix not in SUFFIXES:
        raise UserError(f"--to {to}: the name must end in {' or '.join(SUFFIXES)}")
    if to.exists() and not force:
        raise UserError(f"--to {to}: is there already; give another name, or --force to replace it")
    stored = load_results(*study)
    rows = rows_of(
        chosen,
        stored.state,
        stored.sweep,
        lambda arm: resolved_fields(stored.folder.path, arm) or arm.parameters,
    )
    if not rows:
        raise UserError(f"{stored.experiment} has no {what} to export yet; nothing was written")
    try:
        with atomic_path(to) as temporary:
            num_rows, columns = write_table(rows, temporary, to.suffix)
    except OSError as error:
        raise UserError(f"--to {to}: cannot be written: {error}") from error
    if output.emit:
        written: ExportJson = {"path": str(to.resolve()), "what": chosen, "rows": num_rows, "columns": columns}
        output.emit(written)
    output.say(f"{num_rows} rows ({what}), {len(columns)} columns: {to.resolve()}")
