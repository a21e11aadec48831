"""The verb `importance`: which of the fields that a search varies matter."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from rich.console import Console

from analysis.report.plotting import written
from analysis.report.search.importance import (
    COLUMNS,
    importance_figure,
    importance_notes,
    importance_title,
    records,
)
from analysis.results.importance import Evaluator, ImportanceTable
from sweeps.cli.results import check_figure
from sweeps.cli.stored_sweep import load_results
from sweeps.console import Output, text_table
from sweeps.errors import UserError, nearest
from sweeps.search.importance import ImportanceError, importance_of
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study

OVER = ("all", "space_filling")


def importance(
    output: Output, study: StudyArguments, *, evaluator: str, rung: int, over: str, to: Path | None
) -> None:
    """Print the importances of the fields of a study's searches, and draw them if `to` names a figure.

    Raises:
        UserError: If the study has never been run, does not search, or its importances cannot be had.
    """
    chosen: Evaluator | None = next((known for known in get_args(Evaluator) if known == evaluator), None)
    if chosen is None:
        raise UserError(f"--evaluator {evaluator}: {nearest(evaluator, get_args(Evaluator))}")
    check_figure(to)
    if over not in OVER:
        raise UserError(f"--over {over}: {nearest(over, OVER)}")
    stored = load_results(*study)
    info, search = stored.sweep.search, load_study(*study).search
    if info is None or search is None:
        raise UserError(f"{stored.experiment} does not search, so no field varies; see space:")
    try:
        found = importance_of(
            stored.state,
            info,
            {one.arm: one.space for one in search.arms},
            evaluator=chosen,
            rung=rung,
            only_space_filling=over != OVER[0],
        )
    except ImportanceError as error:
        raise UserError(f"{stored.experiment}: {error}") from error
    output.show(found, lambda out: _print(out, found))
    if to is not None:
        output.say(f"wrote {', '.join(map(str, _draw(found, to)))}")


def _print(out: Console, found: ImportanceTable) -> None:
    for arm in found.arms:
        out.print(f"{importance_title(found, arm)}\n", markup=False)
        table = text_table("field", "share", "95 % interval", right=[1, 2])
        for field in arm.fields:
            table.add_row(field.name, f"{field.share:.2f}", f"[{field.ci_low:.2f}, {field.ci_high:.2f}]")
        out.print(table)
        out.print("", *importance_notes(arm), sep="\n", markup=False)


def _draw(found: ImportanceTable, to: Path) -> list[Path]:
    return written(importance_figure(found), to, COLUMNS, records(found))
