"""The verb `best`: what a search has found so far, and how its winners do on fresh seeds."""

from __future__ import annotations

from rich.console import Console

from analysis.records.journal import JournalState
from analysis.results.searches import LOW_CORRELATION, BestRow, BestTable, SearchRow, best_of
from sweeps.cli.stored_sweep import load_results
from sweeps.console import Output, text_table
from sweeps.errors import UserError
from sweeps.studies.catalogue import StudyArguments


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
    output.show(found.to_json(), lambda out: show(out, found, top))


def show_search(out: Console, state: JournalState) -> None:
    """Print the searches of a study, if it has any; the five best candidates of each."""
    info = state.sweep.search if state.sweep else None
    if info is not None:
        out.print()
        show(out, best_of(state, info), top=5)


def show(out: Console, found: BestTable, top: int) -> None:
    """Print searches, rungs and candidates as text."""
    for search in found.searches:
        out.print(_headline(search), markup=False)
        out.print(_rung_table(found, search.arm))
        for rung in found.rungs:
            if rung.arm == search.arm and (rung.rank_correlation or 1.0) < LOW_CORRELATION:
                out.print(
                    f"rung {rung.rung} says little about the next one: with scheduler.first=1 all candidates train "
                    "whole",
                    markup=False,
                )
        rows = [row for row in found.rows if row.arm == search.arm]
        out.print(f"\n{found.metric} of the search, selected on these seeds:", markup=False)
        out.print(_candidate_table(rows[:top], search))
        if len(rows) > top:
            out.print(f"and {len(rows) - top} more: best --top {len(rows)}", markup=False)
        out.print(f"\n{_confirmed(search, found)}", markup=False)


def _headline(search: SearchRow) -> str:
    spent = f"{search.spent_replicates:.3g} of {search.budget_replicates:g} replicates spent"
    state = f"over, {search.stopped_because}" if search.stopped_because else "not over"
    return f"search of {search.arm}, {search.method}: {search.n_candidates} candidates, {spent}; {state}"


def _rung_table(found: BestTable, arm: str) -> object:
    table = text_table(
        "rung", "steps", "seeds", "scored", "failed", "rank correlation with the next", right=range(5)
    )
    for rung in found.rungs:
        if rung.arm == arm:
            correlation = "–" if rung.rank_correlation is None else f"{rung.rank_correlation:.2f} ({rung.n_pairs})"
            counts = (rung.rung, rung.steps, rung.seeds, rung.n_scored, rung.n_failed)
            table.add_row(*map(str, counts), correlation)
    return table


def _candidate_table(rows: list[BestRow], search: SearchRow) -> object:
    names = [field.rpartition(".")[2] for field in search.fields]
    table = text_table("", "candidate", "rung", "seeds", "mean", *names, "proposed by", "", right=[0, 2, 3, 4])
    for row in rows:
        mean = "–" if row.mean_search is None else f"{row.mean_search:.4f}"
        values = [_short(row.point.get(field)) for field in search.fields]
        rung = "–" if row.rung is None else str(row.rung)
        table.add_row(
            str(row.rank), f"{row.arm}#{row.number}", rung, str(row.n_search), mean, *values, row.by, row.status
        )
    return table


def _short(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if type(value) is float else str(value)


def _confirmed(search: SearchRow, found: BestTable) -> str:
    row, seeds = search.confirmed, f"fresh seeds {', '.join(map(str, found.confirm_seeds))}"
    if row is None or row.mean is None:
        return f"the winner will be compared on {seeds}"
    interval = "" if row.ci_low is None else f" [{row.ci_low:.4f}, {row.ci_high:.4f}]"
    return f"the winner on {seeds}: {row.mean:.4f}{interval}, n = {row.n}; the table of `results` compares it"
