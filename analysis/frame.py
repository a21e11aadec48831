"""Results as a tidy pandas frame, for notebooks: of a results folder, a compact journal, or an MLflow server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from analysis.records.description import JournalError
from analysis.records.journal import read_journal
from analysis.results.export import ROW_KINDS, Row, What, rows_of, to_columns
from analysis.suggestions import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def load(source: str | Path, what: What = "replicates", *, scale: str = "laptop") -> pd.DataFrame:
    """Return results as a frame: identity first, then settings, metrics, and numerics.

    Columns with a dot are settings in which arms differ, columns with a slash metrics, and those that begin with
    `numerics.` how a replicate was computed. Replicates that failed or have not ended are rows, too: `status` says
    so.

    Args:
        source: A study with results below `PHASESWEEP_RESULTS`, or `results`; a results folder; a compact journal;
            or `http://SERVER:PORT/#STUDY@SCALE`, an experiment on an MLflow server.
        what: `replicates` (a row each, with the last report), `curves` (a row a report) or `configurations` (a row
            an arm, with intervals and differences; not from MLflow).
        scale: Of a study by name.

    Raises:
        FileNotFoundError: If there are no results.
        JournalError: If a journal describes no sweep.
        ValueError: If `what` is unknown, MLflow does not have it, or the source is another address.
    """
    if what not in ROW_KINDS:
        raise ValueError(f"what={what!r}: {did_you_mean(what, list(get_args(What)))}")
    text = str(source)
    if text.startswith(("http://", "https://")):
        from analysis.mlflow_rest import rows_of_server

        return _frame(rows_of_server(text, what))
    if "://" in text:
        raise ValueError(
            f"{text}: of MLflow only a server is read, as http://SERVER:PORT/#STUDY@SCALE; of files, a results "
            "folder or a compact journal"
        )
    return _frame(_rows_of_journal(_journal(source, scale), what))


def _frame(rows: list[Row]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(to_columns(rows))


def _journal(source: str | Path, scale: str) -> Path:
    """Return the journal of a source: a file, or a folder of files."""
    root = Path(os.environ.get("PHASESWEEP_RESULTS") or "results")
    for path in (Path(source), root / source / scale):
        if path.is_file():
            return path
        if (path / "journal").is_dir():
            return path / "journal"
    raise FileNotFoundError(f"no results at {source}, nor at {root / source / scale}")


def _rows_of_journal(journal: Path, what: What) -> list[Row]:
    state = read_journal(journal)
    if state.sweep is None:
        raise JournalError(f"{journal}: it describes no sweep")
    return rows_of(what, state, state.sweep, lambda arm: arm.parameters)
