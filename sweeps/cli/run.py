"""The verbs `run` and `resume`: print what will run, run it, print the table and what is left."""

from __future__ import annotations

import os
from collections import Counter

from rich.console import Console

from analysis.records.description import JournalError
from analysis.records.journal import JournalState
from analysis.report.tables import render_text
from analysis.results.arms import summarise
from analysis.results.memory import Receipt
from sweeps.cli.evidence.report import write_page
from sweeps.cli.results import show_search
from sweeps.console import Emit, Output, format_duration
from sweeps.errors import EXIT_FAILURES, EXIT_INTERRUPTED, UserError
from sweeps.plan.selection import RUN, Selection
from sweeps.run.driver import Prepared, ToRun, default_components, prepare, run_missing, what_to_run
from sweeps.run.limits import RunLimits
from sweeps.run.progress import Progress
from sweeps.store.disk_errors import write_failure
from sweeps.studies.catalogue import StudyArguments
from sweeps.tracking.uri import refuse_bad_tracking_uri, refuse_missing_driver, tracking_uri_from_environment
from trainables.code_hash import code_hash


def run(
    output: Output,
    study: StudyArguments,
    *,
    limits: RunLimits,
    selection: Selection = RUN,
    only: str | None = None,
) -> int:
    """Run the missing replicates of a study and those of `selection`, or one of them; return the exit code.

    Raises:
        JournalError: If a line of the journal is damaged; nothing was started then.
    """
    refuse_bad_tracking_uri(os.environ)
    refuse_missing_driver(os.environ)
    prepared = prepare(*study, only=only)
    prepared.folder.prepare(prepared.study.resolved(), prepared.study.plugin_texts)
    console = output.beside
    to_run = what_to_run(prepared, selection)
    _announce(prepared, to_run, console)
    progress = Progress(prepared.plan, to_run.num_expected, to_run.forecast_seconds, console, prepared.machine)
    options = [*selection.flags, *(["--only", only] if only else [])]
    again = prepared.command("resume" if selection.flags else "run", *options)
    try:
        ended = run_missing(prepared, to_run, limits, progress, default_components(prepared))
    except OSError as error:
        console.print(write_failure(error, prepared.folder.path, again), markup=False)
        return EXIT_INTERRUPTED if limits.stop_reason and not limits.has_failed else EXIT_FAILURES
    except JournalError as error:
        if to_run.is_empty:
            raise
        console.print(f"the run has ended, and its journal cannot be read: {error}", markup=False)
        console.print(f"nothing else is lost; once it is repaired, continue with: {again}", markup=False)
        return EXIT_FAILURES
    _print_results(prepared, ended.receipt, console, output.emit)
    if ended.behind.needs_attention:
        console.print(f"MLflow: {ended.behind}", markup=False)
    if not to_run.is_empty:
        _write_page(prepared, console)
    console.print(f"results: {prepared.folder.path}", markup=False)
    if ended.left or ended.is_searching:
        if limits.stop_reason:
            console.print(f"stopped: {limits.stop_reason}", markup=False)
        left = f"{len(ended.left)} of {len(to_run.keys)} replicates are left"
        if to_run.num_searched:
            left = f"the search is not over, and {len(ended.left)} replicates are begun or planned"
        console.print(f"{left}; continue with: {again}", markup=False)
    console.print(f"open the MLflow page with: {prepared.command('ui')}", markup=False)
    return ended.exit_code


def _write_page(prepared: Prepared, console: Console) -> None:
    """Write the page of the results, and show it in MLflow; what fails is told, and the results are as they are."""
    from sweeps.tracking.mlflow_store import log_page

    again = prepared.command("report")
    try:
        page = write_page(prepared.folder, prepared.given, prepared.state)
    except Exception as error:  # noqa: BLE001  the runs have ended well, whatever their page meets
        console.print(f"the page cannot be written: {error!r}; `{again}` tries again, and says more", markup=False)
        return
    try:
        log_page(tracking_uri_from_environment(), prepared.experiment, page)
    except UserError as error:
        console.print(str(error), markup=False)
    console.print(f"page: {page}", markup=False)


def _announce(prepared: Prepared, to_run: ToRun, console: Console) -> None:
    """Print what will run and the forecast time, and which of it runs again and why."""
    plan = prepared.plan
    searched = f", and a search of about {to_run.num_searched} starts" if to_run.num_searched else ""
    console.print(
        f"{prepared.experiment}: {len(plan.arms)} arms x {len(plan.study.compared_seeds)} seeds, "
        f"{len(to_run.keys)} of {len(plan.replicates)} replicates to run{searched}, {plan.concurrency} at a time "
        f"on {plan.device}, forecast {format_duration(to_run.forecast_seconds)}",
        markup=False,
    )
    if prepared.folder.notice:
        console.print(prepared.folder.notice, markup=False)
    for detail, count in Counter(f"{r.reason}, {r.detail}" for r in to_run.reruns.values()).items():
        console.print(f"to run again: {count} ({detail})", markup=False)


def _print_results(prepared: Prepared, receipt: Receipt | None, console: Console, emit: Emit | None) -> None:
    """Print the table of arms, if anything has run, and the memory receipt, if memory ran out."""
    state: JournalState = prepared.state
    if state.sweep is not None:
        table = summarise(state, code=code_hash())
        if emit:
            emit(table)
        console.print()
        console.print(render_text(table), markup=False, end="")
        show_search(console, state)
    console.print()
    if receipt is not None and receipt.has_losses:
        console.print(receipt.in_words(), markup=False)
