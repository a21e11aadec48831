"""The verb `receipt`: what a sweep's memory was estimated, reserved and used."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.console import Console

from analysis.receipt import Receipt, receipt
from analysis.records import JournalState, SweepInfo
from sweeps.journal import write_whole
from sweeps.opened import open_results
from sweeps.output import Emit, text_table
from sweeps.results_folder import ResultsFolder


def write_receipt(folder: ResultsFolder, state: JournalState, sweep: SweepInfo) -> Receipt:
    """Write `report/receipt.json` in a results folder and return what it holds."""
    made = receipt(state, sweep)
    path = folder.path / "report" / "receipt.json"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps(made.to_json(), indent=2) + "\n")
    return made


def show(out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str]) -> None:
    """Print the receipt of a study's results."""
    opened = open_results(name, scale, sets)
    made = receipt(opened.state, opened.sweep)
    if emit:
        emit(made.to_json())
        return
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
