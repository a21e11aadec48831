"""A search as cells: its rungs, and its candidates with their scores at each.

Scores that chose the winner and those on fresh seeds have columns of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.records.schedules import schedule_of
from analysis.report.tables import decimals_of, format_number
from analysis.results.candidates import ArmCandidates, CandidateRow
from analysis.results.search_table import SearchRow
from analysis.results.searches import LOW_CORRELATION

NONE = "–"
RUNG_HEADERS = ("rung", "steps", "seeds", "scored", "failed", "climbed on", "rank correlation with the next")
RUNG_RIGHT = (True,) * len(RUNG_HEADERS)


def headline(search: SearchRow) -> str:
    """Return how far a search is and what it has spent."""
    spent = f"{search.spent_replicates:.3g} of {search.budget_replicates:g} replicates spent"
    state = f"over, {search.stopped_because}" if search.stopped_because else "not over"
    return f"search of {search.arm}, {search.method}: {search.n_candidates} candidates, {spent}; {state}"


def expected_best(search: SearchRow) -> str:
    """Return what the best of n random candidates would be expected to show, or why that is not known."""
    found = search.expected_best
    if found.refused:
        return f"best of n random candidates, expected: not known, {found.refused}"
    decimals = decimals_of(min((one.expected for one in found.best_of), key=abs))
    shown = ", ".join(f"n = {one.n}: {format_number(one.expected, decimals)}" for one in found.best_of)
    seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"
    failed = f", {found.n_failed} of them failed" if found.n_failed else ""
    return (
        f"best of n random candidates, expected: {shown} (step {found.steps}, {seeds}, from "
        f"{found.n_random}{failed}); selected, so too good as a result"
    )


def rung_cells(found: ArmCandidates) -> list[list[str]]:
    """Return the cells of every rung, under `RUNG_HEADERS`."""
    cells = []
    for index, rung in enumerate(found.info.rungs):
        scored = [row for row in found.rows if row.scores[index] is not None]
        failed = [
            row for row in found.rows if row.has_failed and (-1 if row.rung is None else row.rung) == index - 1
        ]
        climbed = [row for row in scored if _climbed_past(row, index)]
        correlation = NONE
        if index < len(found.rank_correlations) and found.rank_correlations[index][0] is not None:
            value, pairs = found.rank_correlations[index]
            correlation = f"{format_number(value or 0.0, 2)} ({pairs})"
        counts = (index, rung.steps, rung.seeds, len(scored), len(failed), len(climbed))
        cells.append([*map(str, counts), correlation])
    return cells


def _climbed_past(row: CandidateRow, rung: int) -> bool:
    return any(score is not None for score in row.scores[rung + 1 :]) or (
        row.standing.startswith("climbing") and row.rung == rung
    )


def candidate_headers(found: ArmCandidates) -> tuple[list[str], list[bool]]:
    """Return the headers of `candidate_cells`, and which columns are right-aligned."""
    fields = short_names(found.search.fields)
    rungs = [f"rung {index}" for index in range(len(found.info.rungs))]
    fresh = f"fresh seeds ({len(found.confirm_seeds)})"
    others = [one.name for one in found.info.objectives[1:]]
    headers = ["candidate", "stands", fresh, *fields, "seeds", *rungs, *others, "proposed by"]
    right = [False, False, *[True] * (len(fields) + 2 + len(rungs) + len(others)), False]
    return headers, right


def candidate_cells(found: ArmCandidates) -> list[list[str]]:
    """Return the cells of every candidate, the best first."""
    scores = [score.mean for row in found.rows for score in row.scores if score is not None]
    decimals = decimals_of(min(scores, key=abs)) if scores else 4
    return [
        [
            f"{found.search.arm}#{row.number}",
            row.standing + (", on the front" if row.is_on_front else ""),
            confirmed(row, decimals),
            *(setting(row.point, field) for field in found.search.fields),
            str(row.n_search),
            *(NONE if score is None else format_number(score.mean, decimals) for score in row.scores),
            *(short(row.objectives.get(one.name)) for one in found.info.objectives[1:]),
            row.by,
        ]
        for row in found.rows
    ]


def confirmed(row: CandidateRow, decimals: int) -> str:
    """Return the mean on fresh seeds with its interval; a dash if there is none."""
    if row.confirmed is None or row.confirmed.mean is None:
        return NONE
    text = format_number(row.confirmed.mean, decimals)
    if row.confirmed.ci_low is None or row.confirmed.ci_high is None:
        return text
    low, high = (format_number(bound, decimals) for bound in (row.confirmed.ci_low, row.confirmed.ci_high))
    return f"{text} [{low}, {high}]"


def notes(found: ArmCandidates) -> list[str]:
    """Return how to read both tables, and what to be careful with."""
    info = found.info
    notes = [
        f"rungs: mean of {info.subset_metric} after fewer steps, of {info.metric} at step {info.last_step}, "
        f"over the first of the seeds {', '.join(map(str, info.seeds))}; they chose the winner, so its own are too "
        "good",
        f"fresh seeds {', '.join(map(str, found.confirm_seeds))}: the only numbers that results and claims use",
        expected_best(found.search),
    ]
    return notes + low_correlations(found)


def low_correlations(found: ArmCandidates) -> list[str]:
    """Return which rungs say little about the next one."""
    advice = (
        "with a larger scheduler.first members are compared more rarely"
        if found.info.population
        else "with scheduler.first=1 all candidates train whole"
    )
    return [
        f"rung {index} says little about the next one: {advice}"
        for index, (correlation, _) in enumerate(found.rank_correlations)
        if correlation is not None and correlation < LOW_CORRELATION
    ]


def short_names(fields: tuple[str, ...]) -> list[str]:
    """Return the last part of every field's name, or the whole where two would be equal."""
    last = [field.rpartition(".")[2] for field in fields]
    return [name if last.count(name) == 1 else field for name, field in zip(last, fields, strict=True)]


def setting(point: Mapping[str, Any], field: str) -> str:
    """Return the value of a field in a point, and those that it has later: `0.01, 0.02 from 300`."""
    first, *later = schedule_of(point, field) or [(0, None)]
    return ", ".join([short(first[1]), *(f"{short(value)} from {step:,}" for step, value in later)])


def short(value: object) -> str:
    """Return the value of a field with 4 significant digits; a dash where the field has no effect."""
    if value is None:
        return NONE
    return f"{value:.4g}" if type(value) is float else str(value)
