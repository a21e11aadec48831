"""The verbs about searches: `best`, what one has found; `simulate`, what it would find where the truth is known."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.records.journal import JournalState
from analysis.results.searches import LOW_CORRELATION, BestRow, BestTable, SearchRow, best_of
from sweeps.cli.stored_sweep import load_results
from sweeps.console import Output, text_table
from sweeps.errors import UserError, nearest
from sweeps.plan.rungs import RungError
from sweeps.search import strategies
from sweeps.search.strategies import StrategyRow
from sweeps.search.worlds import WORLDS
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study

if TYPE_CHECKING:
    from sweeps.cli.schemas.searching import SimulateJson


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


MEANINGS = {
    "null": "no candidate is better than another; all that is found is luck",
    "quadratic": "a bowl with an interaction; seeds vary half as much as candidates",
    "faults": "the same bowl, and one candidate in five fails",
}


def simulate(output: Output, study: StudyArguments, *, world: str, searches: int, slots: int) -> None:
    """Simulate the search of a study, and other ways to spend its budget.

    Raises:
        UserError: If it does not search, or there is no such world.
    """
    if world not in WORLDS:
        raise UserError(f"--world {world}: {nearest(world, WORLDS)}")
    resolved = load_study(*study)
    search = resolved.search
    if search is None:
        raise UserError(f"study '{resolved.name}' does not search, so there is nothing to simulate; see space:")
    one = search.arms[0]
    budget = next(arm.config.budget for arm in resolved.arms if arm.name == one.arm)
    try:
        rungs = strategies.strategies(search, steps=budget.steps, report_every=budget.report_every)
    except RungError as error:
        raise UserError(f"{search.where('scheduler')}: {error}") from error
    began = time.process_time()
    rows = [
        strategies.simulate(search, one, own, name, world=world, searches=searches, slots=slots)
        for name, own in rungs.items()
    ]
    found: SimulateJson = {
        "study": resolved.name,
        "scale": resolved.scale,
        "arm": one.arm,
        "world": world,
        "method": search.settings.method,
        "cpu_seconds": round(time.process_time() - began, 3),
        "rows": [dataclasses.asdict(row) for row in rows],  # type: ignore[misc]  # the type has the same keys
    }
    output.show(found, lambda out: _print_simulation(out, found, rows))


def _print_simulation(out: Console, found: SimulateJson, rows: list[StrategyRow]) -> None:
    out.print(
        f"search of {found['arm']}, {found['method']}, in simulated worlds `{found['world']}`: "
        f"{MEANINGS[found['world']]}",
        markup=False,
    )
    headers = [
        "strategy",
        "searches",
        "trials",
        "candidates",
        "replicates",
        "regret",
        "95 % interval",
        "too good by",
    ]
    headers += ["false winners"] if rows[0].claims is None else ["claims, fresh seeds", "claims, same seeds"]
    table = text_table(*headers, right=range(1, len(headers)))
    for row in rows:
        interval = "–" if row.regret_ci_low is None else f"[{row.regret_ci_low:.3f}, {row.regret_ci_high:.3f}]"
        shares = [row.false_winners] if row.claims is None else [row.claims, row.selected_claims or 0.0]
        cells = (row.strategy, row.searches, row.trials, f"{row.candidates:.1f}", f"{row.replicates:.1f}")
        scores = (f"{row.regret:.3f}", interval, f"{row.optimism:.3f}", *(f"{share:.1%}" for share in shares))
        table.add_row(*map(str, cells), *scores)
    out.print(table)
    out.print(
        f"regret and `too good by` in standard deviations over the space, or over seeds where all is equal; "
        f"{found['cpu_seconds']:.1f} s of CPU, nothing was trained",
        markup=False,
    )
