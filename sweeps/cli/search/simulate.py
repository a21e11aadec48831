"""The verb `simulate`: a study's search, and other ways to spend its budget, where the truth is known."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.report.plotting import written
from analysis.report.search.regret import COLUMNS, records, regret_figure
from sweeps.cli.results import check_figure
from sweeps.console import Output, text_table
from sweeps.errors import UserError, nearest
from sweeps.plan.search.rungs import RungError
from sweeps.search.simulation import strategies
from sweeps.search.simulation.strategies import StrategyRow
from sweeps.search.simulation.worlds import WORLDS
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study

if TYPE_CHECKING:
    from sweeps.cli.schemas.searching import SimulateJson

MEANINGS = {
    "null": "no candidate is better than another; all that is found is luck",
    "quadratic": "a bowl with an interaction; seeds vary half as much as candidates",
    "faults": "the same bowl, and one candidate in five fails",
}


def simulate(
    output: Output, study: StudyArguments, *, world: str, searches: int, slots: int, figure: Path | None
) -> None:
    """Simulate the search of a study, and other ways to spend its budget; draw regret if `figure` names a file.

    Raises:
        UserError: If it does not search, there is no such world, or there is nothing to draw.
    """
    check_figure(figure, "--figure")
    if world not in WORLDS:
        raise UserError(f"--world {world}: {nearest(world, WORLDS)}")
    resolved = load_study(*study)
    search = resolved.search
    if search is None:
        raise UserError(f"study '{resolved.name}' does not search, so there is nothing to simulate; see space:")
    if search.settings.objectives:
        raise UserError(
            f"{search.where('search', 'objectives')}: simulated worlds have one objective; for nsga2 there is "
            "no simulation"
        )
    if search.scheduler.name == "pbt":
        raise UserError(
            f"{search.where('scheduler', 'name')}=pbt: a simulated world scores settings, and knows nothing "
            "of when they changed; there is no simulation"
        )
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
    output.show(found, lambda out: _print(out, found, rows))
    if figure is not None:
        output.say(f"wrote {', '.join(map(str, _draw(found, rows, figure)))}")


def _draw(found: SimulateJson, rows: list[StrategyRow], figure: Path) -> list[Path]:
    curves = {row.strategy: row.curve for row in rows}
    title = f"Regret against budget: the search of {found['arm']}, {found['method']}"
    try:
        drawing = regret_figure(curves, title=title, searches=rows[0].searches, world=f"worlds: {found['world']}")
    except ValueError as error:
        raise UserError(f"--figure {figure}, --world {found['world']}: {error}") from error
    return written(drawing, figure, COLUMNS, records(curves))


def _print(out: Console, found: SimulateJson, rows: list[StrategyRow]) -> None:
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
