"""The verb `ablate`: what the components of an ablation are worth."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rich.console import Console

from analysis.report import ablations
from analysis.report.plotting import written
from analysis.report.search import path
from analysis.results.ablations import AblationTable, ablation_of
from analysis.results.search.path import PathTable, path_table
from sweeps.cli.results import check_figure
from sweeps.cli.stored_sweep import find_metric_name, load_results
from sweeps.console import Output, text_table
from sweeps.errors import UserError
from sweeps.studies.catalogue import StudyArguments


def ablate(output: Output, study: StudyArguments, *, metric: str | None, to: Path | None) -> None:
    """Print the effects of an ablation or the steps of a path, and draw them if `to` names a figure.

    Raises:
        UserError: If the study has never been run, or has no ablation.
    """
    check_figure(to)
    stored = load_results(*study)
    info, search = stored.sweep.ablation, stored.sweep.search
    if search is not None and search.path:
        _show_path(output, path_table(stored.state, search, find_metric_name(stored.sweep, metric)), to)
        return
    if info is None:
        raise UserError(
            f"{stored.experiment} has no ablation: `results` compares its arms; a study with a section `ablation` "
            "makes arms that lack components"
        )
    table = ablation_of(stored.state, info, find_metric_name(stored.sweep, metric))
    output.show(table, lambda out: _print(out, table))
    if to is not None:
        try:
            written = ablations.effects_forest(table, to)
        except ValueError as error:
            raise UserError(str(error)) from error
        output.say(f"wrote {', '.join(str(path) for path in written)}")


def _show_path(output: Output, table: PathTable, to: Path | None) -> None:
    output.show(dataclasses.asdict(table), lambda out: _print_path(out, table))
    if to is not None:
        try:
            drawing = path.path_figure(table)
        except ValueError as error:
            raise UserError(str(error)) from error
        files = written(drawing, to, path.COLUMNS, path.records(table))
        output.say(f"wrote {', '.join(map(str, files))}")


def _print_path(out: Console, table: PathTable) -> None:
    out.print(f"{path.title(table)}\n", markup=False)
    printed = text_table(
        *path.headers(table), right=[place for place, is_right in enumerate(path.RIGHT_ALIGNED) if is_right]
    )
    for row in path.cells(table):
        printed.add_row(*row)
    out.print(printed)
    out.print("", *path.notes(table), sep="\n", markup=False)


def _print(out: Console, table: AblationTable) -> None:
    out.print(f"{ablations.title(table)}\n", markup=False)
    printed = text_table(*ablations.HEADERS, right=[1, 2])
    for row in ablations.cells(table):
        printed.add_row(*row)
    out.print(printed)
    out.print("", *ablations.notes(table), sep="\n", markup=False)
