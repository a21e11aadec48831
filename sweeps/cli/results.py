"""The verbs that show or write results: `results`, `best`, `curves`, `receipt`, `export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.records.journal import JournalState
from analysis.report.plotting import FORMATS
from analysis.report.search import tables
from analysis.report.steps import cells, note, reported_steps, shown_steps
from analysis.results.candidates import ArmCandidates, candidates_of
from analysis.results.curves import Curve, Curves, curves_of
from analysis.results.export import ROW_KINDS, SUFFIXES, rows_of, write_table
from analysis.results.memory import Receipt, receipt
from analysis.results.search_table import BestRow, BestTable, SearchRow
from analysis.results.searches import best_of
from sweeps.cli.stored_sweep import find_metric_name, load_results, resolved_fields
from sweeps.console import Output, text_table
from sweeps.errors import UserError, nearest, writing
from sweeps.studies.catalogue import StudyArguments
from trainables.atomic_write import atomic_path
from trainables.code_hash import code_hash

if TYPE_CHECKING:
    from sweeps.cli.schemas.curves import CurveJson, CurvesJson
    from sweeps.cli.schemas.types import ExportJson

PUBLISHED = "published"
"""`--what` for the logs that the π-spiral experiments guide documents."""


def export(output: Output, study: StudyArguments, *, to: Path, what: str, force: bool) -> None:
    """Write a table of a study to a file, or its published logs to a folder."""
    if what == PUBLISHED:
        from sweeps.cli.diagnosis.published import export_published

        export_published(output, load_results(*study), to, force=force)
        return
    chosen = next((known for known in ROW_KINDS if known == what), None)
    if chosen is None:
        raise UserError(f"--what {what}: {nearest(what, (*ROW_KINDS, PUBLISHED))}")
    if to.suffix not in SUFFIXES:
        raise UserError(f"--to {to}: the name must end in {' or '.join(SUFFIXES)}")
    if to.exists() and not force:
        raise UserError(f"--to {to}: already exists; give another name, or --force to replace it")
    check_folder(to)
    stored = load_results(*study)
    rows = rows_of(
        chosen,
        stored.state,
        stored.sweep,
        lambda arm: resolved_fields(stored.folder.path, arm) or arm.parameters,
    )
    if not rows:
        raise UserError(f"{stored.experiment} has no {what} to export yet; nothing was written")
    with writing(f"--to {to}"):
        to.parent.mkdir(parents=True, exist_ok=True)
    with writing(f"--to {to}"), atomic_path(to) as temporary:
        num_rows, columns = write_table(rows, temporary, to.suffix)
    if output.emit:
        path = str(to.resolve())
        written: ExportJson = {"path": path, "what": chosen, "rows": num_rows, "columns": columns, "files": [path]}
        output.emit(written)
    output.say(f"{num_rows} rows ({what}), {len(columns)} columns: {to.resolve()}")


def show_receipt(output: Output, study: StudyArguments) -> None:
    """Print the receipt of a study's results."""
    stored = load_results(*study)
    made = receipt(stored.state, stored.sweep)
    output.show(made, lambda out: _print_receipt(out, made))


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
    table = summarise(stored.state, find_metric_name(stored.sweep, metric), code=code_hash())
    output.show(table, lambda out: out.print(render_text(table), markup=False, end=""))


def curves(output: Output, study: StudyArguments, *, metric: str | None, at: str | None, to: Path | None) -> None:
    """Print a metric of every arm at steps of the training, and draw it if `to` names a figure."""
    check_figure(to)
    wanted = None if at is None else _steps(at)
    stored = load_results(*study)
    name = None if metric is None else find_metric_name(stored.sweep, metric)
    try:
        found = curves_of(stored.state, name)
        steps = shown_steps(found, wanted)
    except ValueError as error:
        raise UserError(str(error)) from error
    output.show(_curves_as_json(found), lambda out: _print_curves(out, found, steps))
    if to is not None:
        from analysis.report.curves import learning_curves

        written = learning_curves(stored.state, found.metric.name, to)
        output.say(f"wrote {', '.join(str(path) for path in written)}")


def check_figure(to: Path | None, option: str = "--to") -> None:
    """Refuse a figure whose suffix names no format, or in a folder that cannot be, before anything is computed.

    Raises:
        UserError: If it is one.
    """
    if to is None:
        return
    *first, last = (f".{one}" for one in FORMATS)
    if to.suffix not in (*first, last):
        raise UserError(f"{option} {to}: the name must end in {', '.join(first)} or {last}")
    check_folder(to, option)


def check_folder(to: Path, option: str = "--to") -> None:
    """Refuse a file in a folder that cannot be made.

    Raises:
        UserError: If it is one.
    """
    for folder in to.parents:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{option} {to}: {folder} is a file, not a folder; give another name")


def _steps(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UserError(f"--at {text}: write steps as 0,100,500")
    return [int(part) for part in parts]


def _print_curves(out: Console, found: Curves, steps: list[int]) -> None:
    headers, rows = cells(found, steps)
    table = text_table(*headers, right=range(1, len(headers)))
    for row in rows:
        table.add_row(*row)
    out.print(table)
    out.print(f"\n{note(found)}", markup=False)
    left = len(reported_steps(found)) - len(steps)
    if left > 0:
        out.print(f"{left} more steps: --at 0,100,500, --json, or export --what curves", markup=False)


def _curves_as_json(found: Curves) -> CurvesJson:
    return {
        "study": found.sweep.study,
        "scale": found.sweep.scale,
        "metric": found.metric.name,
        "unit": found.metric.unit,
        "meaning": found.metric.meaning,
        "null": found.metric.null,
        "confidence": found.confidence,
        "arms": [_arm(curve) for curve in found.arms],
    }


def _arm(curve: Curve) -> CurveJson:
    bounds = {step: interval for step, interval in curve.intervals.items() if interval is not None}
    return {
        "arm": curve.arm,
        "n": len(curve.seeds.keys() - curve.unfinished),
        "points": [
            {
                "step": step,
                "mean": value,
                "ci_low": bounds[step].low if step in bounds else None,
                "ci_high": bounds[step].high if step in bounds else None,
                "null": curve.nulls.get(step),
            }
            for step, value in curve.means.items()
        ],
    }


def best(output: Output, study: StudyArguments, top: int) -> None:
    """Print the best candidates of a study's searches.

    Raises:
        UserError: If it has never been run, or does not search.
    """
    stored = load_results(*study)
    info = stored.sweep.search
    if info is None:
        raise UserError(
            f"{stored.experiment} does not search: its arms are as declared, and `results` compares them; a study "
            "with a section `space` searches"
        )
    found = best_of(stored.state, info)
    output.show(found, lambda out: show(out, found, candidates_of(stored.state), top))


def show_search(out: Console, state: JournalState) -> None:
    """Print the searches of a study, if it has any; the five best candidates of each."""
    info = state.sweep.search if state.sweep else None
    if info is not None:
        out.print()
        show(out, best_of(state, info), candidates_of(state), top=5)


def show(out: Console, found: BestTable, searches: Sequence[ArmCandidates], top: int) -> None:
    """Print searches, rungs and candidates as text."""
    for each in searches:
        search = each.search
        out.print(tables.headline(search), markup=False)
        rungs = text_table(*tables.RUNG_HEADERS, right=range(len(tables.RUNG_HEADERS) - 1))
        for cells_of_rung in tables.rung_cells(each):
            rungs.add_row(*cells_of_rung)
        out.print(rungs)
        for said in tables.low_correlations(each):
            out.print(said, markup=False)
        out.print(f"\n{found.metric} of the search, selected on these seeds:", markup=False)
        out.print(_candidate_table(each.rows[:top], search))
        if len(each.rows) > top:
            out.print(f"and {len(each.rows) - top} more: best --top {len(each.rows)}", markup=False)
        out.print(f"\n{tables.expected_best(search)}", markup=False)
        out.print(f"\n{_confirmed(search, found)}", markup=False)
        if search.finalists:
            out.print(_finalist_table(search))
    if found.looks:
        out.print(f"\n{_looks(found)}", markup=False)


def _candidate_table(rows: Sequence[BestRow], search: SearchRow) -> object:
    names = tables.short_names(search.fields)
    others = list(next((row.objectives for row in rows if row.objectives), {}))[1:]
    headers = ("", "candidate", "rung", "seeds", "mean", *others, *names, "proposed by", "")
    table = text_table(*headers, right=[0, *range(2, 5 + len(others))])
    for row in rows:
        mean = "–" if row.mean_search is None else f"{row.mean_search:.4f}"
        values = [tables.short(row.objectives.get(name)) for name in others]
        values += [tables.setting(row.point, field) for field in search.fields]
        rung = "–" if row.rung is None else str(row.rung)
        table.add_row(
            str(row.rank),
            f"{row.arm}#{row.number}",
            rung,
            str(row.n_search),
            mean,
            *values,
            row.by,
            row.status + (", on the front" if row.is_on_front else ""),
        )
    return table


def _confirmed(search: SearchRow, found: BestTable) -> str:
    row, seeds = search.confirmed, f"fresh seeds {', '.join(map(str, found.confirm_seeds))}"
    if row is None or row.mean is None:
        return f"the winner will be compared on {seeds}"
    interval = "" if row.ci_low is None else f" [{row.ci_low:.4f}, {row.ci_high:.4f}]"
    return f"the winner on {seeds}: {row.mean:.4f}{interval}, n = {row.n}; the table of `results` compares it"


def _finalist_table(search: SearchRow) -> object:
    table = text_table(
        "on fresh seeds", "mean", "n", "Δ to the baseline", "p, adjusted", "reading", right=[1, 2, 3, 4]
    )
    for row in filter(None, (search.confirmed, *search.finalists)):
        mean = "–" if row.mean is None else f"{row.mean:.4f}"
        delta = "–" if row.delta is None else f"{row.delta:+.4f}"
        p = "–" if row.p_adjusted is None else f"{row.p_adjusted:.3g}"
        table.add_row(row.arm, mean, str(row.n), delta, p, row.reading)
    return table


def _looks(found: BestTable) -> str:
    """Return what each look at the fresh seeds has settled."""
    said = []
    for look in found.looks:
        p = ", ".join(f"{arm} p = {p:.3g}" if p is not None else f"{arm} no test" for arm, p in look.p.items())
        outcome = {True: f"settled, {p}", False: f"not settled, {p}", None: "not taken"}[look.is_settled]
        said.append(f"{look.seeds} seeds at {look.alpha:g}: {outcome}")
    return f"looks after {'; '.join(said)}"
