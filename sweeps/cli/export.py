"""The verb `export`: a study's journal as a CSV or Parquet file, for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from analysis.results.export import SUFFIXES, WHATS, rows_of, write_table
from sweeps.cli.stored_sweep import load_results, resolved_fields
from sweeps.console import Emit
from sweeps.errors import UserError, nearest
from trainables.atomic_write import atomic_path


def export(
    out: Console,
    emit: Emit | None,
    name: str,
    scale: str,
    sets: Iterable[str],
    *,
    to: Path,
    what: str,
    force: bool,
) -> None:
    """Write a table of a study to a file."""
    chosen = next((known for known in WHATS if known == what), None)
    if chosen is None:
        raise UserError(f"--what {what}: {nearest(what, WHATS)}")
    if to.suffix not in SUFFIXES:
        raise UserError(f"--to {to}: the name must end in {' or '.join(SUFFIXES)}")
    if to.exists() and not force:
        raise UserError(f"--to {to}: is there already; give another name, or --force to replace it")
    stored = load_results(name, scale, sets)
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
    if emit:
        emit({"path": str(to.resolve()), "what": what, "rows": num_rows, "columns": columns})
    else:
        out.print(f"{num_rows} rows ({what}), {len(columns)} columns: {to.resolve()}", markup=False)
