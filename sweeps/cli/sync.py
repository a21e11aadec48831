"""The verb `sync`: bring MLflow up to the journal, as often as you like."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console

from sweeps.cli.stored_sweep import load_results
from sweeps.console import Emit
from sweeps.errors import EXIT_DONE, EXIT_FAILURES
from sweeps.tracking.tracker import ProjectionSummary, project
from sweeps.tracking.uri import tracking_uri_from_environment, without_password


def sync(out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str]) -> int:
    """Replay a study's journal into MLflow; return the exit code: 1 if MLflow is behind afterwards."""
    stored = load_results(name, scale, sets)
    uri = tracking_uri_from_environment()
    summary = project(stored.folder.journal, uri, stored.experiment)
    shown, error = without_password(uri), without_password(summary.error)
    if emit:
        emit(
            {
                "study": stored.folder.study,
                "scale": stored.folder.scale,
                "experiment": stored.experiment,
                "tracking_uri": shown,
                "num_events": summary.num_events,
                "num_missing": summary.num_missing,
                "num_runs": summary.num_runs,
                "num_metrics": summary.num_metrics,
                "delegated_to": summary.delegated_to,
                "error": error,
            }
        )
    elif not error:
        out.print(f"{stored.experiment}: {_say(summary, shown)}", markup=False)
    if summary.notice:
        sys.stderr.write(f"phasesweep: sync: {summary.notice}\n")
    if error:
        sys.stderr.write(
            f"phasesweep: sync: MLflow at {shown} is {summary.num_missing} of {summary.num_events} events behind "
            f"the journal: {error}\n"
            "nothing is lost: start the server or correct MLFLOW_TRACKING_URI, and sync again\n"
        )
    return EXIT_FAILURES if error or summary.num_missing else EXIT_DONE


def _say(summary: ProjectionSummary, uri: str) -> str:
    if summary.delegated_to:
        return f"MLflow is being {summary}"
    held = f"MLflow holds all {summary.num_events} events"
    if not summary.num_runs:
        return f"{held} already; nothing was written to {uri}"
    runs = "1 run" if summary.num_runs == 1 else f"{summary.num_runs} runs"
    return f"{runs} and {summary.num_metrics:,} metrics written; {held}, at {uri}"
