"""The verbs that show results or write them to a file: `results`, `receipt`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.results.export import ROW_KINDS, SUFFIXES, rows_of, write_table
from analysis.results.memory import Receipt, receipt
from sweeps.cli.stored_sweep import find_metric_name, load_results, resolved_fields
from sweeps.console import Output, text_table
from sweeps.errors import UserError, nearest
from sweeps.studies.catalogue import StudyArguments
from trainables.atomic_write import atomic_path

if TYPE_CHECKING:
    from sweeps.cli.schemas.types import ExportJson


def export(output: Output, study: StudyArguments, *, to: Path, what: str, force: bool) -> None:
    """Write a table of a study to a file."""
    chosen = next((known for known in ROW_KINDS if known == what), None)
    if chosen is None:
        raise UserError(f"--what {what}: {nearest(what, ROW_KINDS)}")
    if to.suffix not in SUFFIXES:
        raise UserError(f"--to {to}: the name must end in {' or '.join(SUFFIXES)}")
    if to.exists() and not force:
        raise UserError(f"--to {to}: already exists; give another name, or --force to replace it")
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


def show_receipt(output: Output, study: StudyArguments) -> None:
    """Print the receipt of a study's results."""
    stored = load_results(*study)
    made = receipt(stored.state, stored.sweep)
    output.show(made.to_json(), lambda out: _print_receipt(out, made))


def _print_receipt(out: Console, made: Receipt) -> None:
    table = text_table("arm", "predicted", "may use", "measured", "error", "out of memory", right=[1, 2, 3, 4, 5])
    for arm in made.arms:
        sizes = (
            f"{size:.0f} MiB" if size is not None else "–"
            for size in (arm.predicted_mib, arm.reserved_mib, arm.measured_mib)
        )
        table.add_row(arm.arm, *sizes, "–" if arm.error is None else f"{arm.error:+.0%}", str(arm.num_ooms))
    out.print(table)
    out.print(
        "predicted: the estimate, corrected by what was measured before; may use: the limit at which a trial fails "
        "alone instead of hurting others; measured: the highest peak",
        markup=False,
    )
    out.print(f"\n{made.in_words()}", markup=False)


def results(output: Output, study: StudyArguments, metric: str | None) -> None:
    """Print the table of arms."""
    from analysis.report.tables import render_text
    from analysis.results.arms import summarise

    stored = load_results(*study)
    table = summarise(stored.state, find_metric_name(stored.sweep, metric))
    output.show(table.to_json(), lambda out: out.print(render_text(table), markup=False, end=""))
