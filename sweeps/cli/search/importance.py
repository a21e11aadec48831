"""The verb `importance`: which of the fields that a search varies matter."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

from rich.console import Console

from sweeps.cli.stored_sweep import load_results
from sweeps.console import Output, text_table
from sweeps.errors import UserError, nearest
from sweeps.search.importance import ArmImportance, ImportanceError, ImportanceTable, importance_of
from sweeps.search.optuna_importance import Evaluator
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study

OVER = ("all", "space_filling")


def importance(output: Output, study: StudyArguments, *, evaluator: str, rung: int, over: str) -> None:
    """Print the importances of the fields of a study's searches.

    Raises:
        UserError: If the study has never been run, does not search, or its importances cannot be had.
    """
    chosen: Evaluator | None = next((known for known in get_args(Evaluator) if known == evaluator), None)
    if chosen is None:
        raise UserError(f"--evaluator {evaluator}: {nearest(evaluator, get_args(Evaluator))}")
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
    output.show(as_json(found), lambda out: _print(out, found))


def as_json(found: ImportanceTable) -> dict[str, Any]:
    """Return importances as `importance --json` prints them."""
    made = dataclasses.asdict(found)
    return {**made, "arms": [{**arm, "fields": list(arm["fields"])} for arm in made["arms"]]}


def _print(out: Console, found: ImportanceTable) -> None:
    for arm in found.arms:
        seeds = "1 seed" if arm.seeds == 1 else f"{arm.seeds} seeds"
        out.print(
            f"importance in the search of {arm.arm}, {found.evaluator}: {found.metric} after {arm.steps} steps "
            f"with {seeds}, {arm.n_configurations} candidates ({arm.n_adaptive} proposed by a model)\n",
            markup=False,
        )
        table = text_table("field", "share", "95 % interval", right=[1, 2])
        for field in arm.fields:
            table.add_row(field.name, f"{field.share:.2f}", f"[{field.ci_low:.2f}, {field.ci_high:.2f}]")
        out.print(table)
        out.print("", *_notes(arm), sep="\n", markup=False)


def _notes(arm: ArmImportance) -> list[str]:
    if arm.explained is None:
        notes = ["shares of how differently the best tenth of candidates is spread along a field; of no variance"]
    else:
        notes = [f"explained by fields alone {arm.explained:.2f}, the rest {1 - arm.explained:.2f}"]
    if arm.noise_share is not None:
        notes.append(f"seeds alone account for {arm.noise_share:.2f} of the variance of the scores")
    if arm.n_left_out:
        notes.append(f"{arm.n_left_out} more candidates were left out: a forest of all takes minutes")
    return notes + ([arm.warning] if arm.warning else [])
