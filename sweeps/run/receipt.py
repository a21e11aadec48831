"""The memory receipt of a run: predicted against measured, as it is written to the results folder."""

from __future__ import annotations

import json

from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState
from analysis.results.memory import Receipt, receipt
from sweeps.store.folder import ResultsFolder
from trainables.atomic_write import write_text_atomic


def write_receipt(folder: ResultsFolder, state: JournalState, sweep: SweepInfo) -> Receipt:
    """Write `report/receipt.json` in a results folder and return what it holds."""
    made = receipt(state, sweep)
    path = folder.path / "report" / "receipt.json"
    path.parent.mkdir(exist_ok=True)
    write_text_atomic(path, json.dumps(made.to_json(), indent=2) + "\n")
    return made
