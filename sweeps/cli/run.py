"""The verbs `run` and `resume`: plan, run what is missing, project to MLflow, print the table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.records.description import JournalError
from analysis.records.journal import JournalState
from analysis.records.replicates import Key
from analysis.records.statuses import FAILURES
from analysis.report.tables import render_text
from analysis.results.arms import summarise
from cluster.connection.address import ClusterError
from cluster.inventory import Inventory, imagined_inventory, local_inventory
from cluster.memory.cuda_context import with_contexts
from sweeps.console import Emit, proposed
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, EXIT_INTERRUPTED, UserError
from sweeps.plan.builder import build_plan, data_dir_from_environment
from sweeps.plan.plan import Plan
from sweeps.plan.selection import RUN, Rerun, Selection, missing_replicates, without_weights
from sweeps.run.limits import RunLimits
from sweeps.run.receipt import write_receipt
from sweeps.store.disk_errors import write_failure
from sweeps.store.folder import ResultsFolder, results_root
from sweeps.store.reader import JournalReader
from sweeps.studies.plugins import options as plugin_options
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study
from trainables.config.resources import BY_MEMORY

if TYPE_CHECKING:
    from sweeps.tracking.tracker import ProjectionSummary


@dataclass(frozen=True)
class Prepared:
    """A study with its plan and its folder, checked; nothing has started."""

    given: str
    """The study as the user named it: a library name or a path."""
    study: Study
    plan: Plan
    folder: ResultsFolder
    machine: Inventory
    """What trials can have."""

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return f"{self.study.name}@{self.study.folder_name}"

    def command(self, verb: str, *options: str) -> str:
        """Return a command line about this study that works where this one was typed."""
        sets = [part for text in self.study.override_texts for part in ("--set", text)]
        words = ["--scale", self.study.scale, *sets, *plugin_options(), *options]
        return proposed(verb, self.given, *words)


def prepare(name: str, scale: str, sets: Iterable[str], *, cards: str | None = None) -> Prepared:
    """Check everything that can be checked before anything starts.

    Args:
        name: The study: a library name or a path.
        scale: Its scale.
        sets: Overrides, as `key=value`.
        cards: Cards that are not here, to plan for, as `4x94.5GiB,2x24GiB`; None: what is here.

    Raises:
        UserError: On the first mistake found.
    """
    packed = [] if cards is None else [f"resources.gpus_per_trial={BY_MEMORY}"]
    study = load_study(name, scale, [*packed, *sets])
    folder = ResultsFolder.of(results_root(), study)
    machine = inventory() if cards is None else _imagined(cards)
    plan = build_plan(study, machine, data_dir_from_environment(), folder.state(), folder)
    return Prepared(name, study, plan, folder, machine)


def inventory() -> Inventory:
    """Return what trials can have: this machine, or the cluster that RAY_ADDRESS names."""
    address = ray_address()
    if address is None:
        return with_contexts(local_inventory())
    from cluster.connection.session import cluster_nodes

    try:
        return cluster_nodes(address)
    except ClusterError as error:
        raise UserError(f"RAY_ADDRESS={address}: cannot join that cluster: {error}") from error


def _imagined(cards: str) -> Inventory:
    try:
        return imagined_inventory(cards)
    except ValueError as error:
        raise UserError(f"--gpus {cards}: {error}") from error


def ray_address() -> str | None:
    """Return RAY_ADDRESS, or None to start a session of our own."""
    return os.environ.get("RAY_ADDRESS") or None


def run(
    out: Console,
    emit: Emit | None,
    name: str,
    scale: str,
    sets: Iterable[str],
    *,
    limits: RunLimits,
    selection: Selection = RUN,
) -> int:
    """Run what is missing of a study, and what `selection` takes beside it; return the exit code.

    Raises:
        JournalError: If a line of the journal is damaged, and so nothing has started.
    """
    prepared = prepare(name, scale, sets)
    plan, folder = prepared.plan, prepared.folder
    folder.prepare(prepared.study)
    console = Console(stderr=True, soft_wrap=True, highlight=False) if emit else out
    reruns = _reruns(prepared, selection)
    missing = {(planned.config_id, seed) for planned, seed in missing_replicates(plan, folder.state())}
    num_to_run = len(missing | reruns.keys())
    _announce(prepared, num_to_run, reruns, console)
    try:
        left, behind = _run_missing(prepared, num_to_run, reruns, limits, console)
        state = folder.state()
        made = write_receipt(folder, state, state.sweep) if state.sweep is not None else None
    except OSError as error:
        console.print(write_failure(error, folder.path, _command_again(prepared, selection)), markup=False)
        return EXIT_INTERRUPTED if limits.stop_reason and not limits.has_failed else EXIT_FAILURES
    except JournalError as error:
        if not num_to_run:
            raise
        console.print(f"the run has ended, and its journal cannot be read: {error}", markup=False)
        again = _command_again(prepared, selection)
        console.print(f"nothing else is lost; once it is mended, continue with: {again}", markup=False)
        return EXIT_FAILURES
    _print_table(state, console, emit)
    if made is not None:
        console.print(made.in_words(), markup=False)
    if behind:
        console.print(f"MLflow: {behind}", markup=False)
    console.print(f"results: {folder.path}", markup=False)
    if left:
        _say_what_is_left(prepared, selection, limits.stop_reason, f"{len(left)} of {num_to_run}", console)
    console.print(f"open the MLflow page with: {prepared.command('ui')}", markup=False)
    return _exit_code(plan, state, left, has_failed=limits.has_failed)


def _run_missing(
    prepared: Prepared,
    num_to_run: int,
    reruns: dict[Key, Rerun],
    limits: RunLimits,
    console: Console,
) -> tuple[set[Key], ProjectionSummary]:
    """Run what is to run while MLflow follows; return what is left, and how far MLflow is behind."""
    from sweeps.run import engine
    from sweeps.run.progress import Progress
    from sweeps.tracking import tracker as tracking  # Ray and MLflow, only now that there is something to run

    plan, folder = prepared.plan, prepared.folder
    uri = tracking.default_tracking_uri(results_root(), os.environ.get("MLFLOW_TRACKING_URI"))
    tracker = tracking.Tracker(folder.journal, uri, prepared.experiment)
    tracker.start()
    left: set[Key] = set()
    try:
        if num_to_run:
            with Progress(plan, num_to_run, console, prepared.machine) as progress:
                left = engine.run_plan(
                    plan,
                    folder,
                    sweep_id=engine.new_sweep_id(),
                    address=ray_address(),
                    listener=progress,
                    limits=limits,
                    reruns=reruns,
                )
    except Exception:
        tracker.close()  # what it has read is written all the same
        raise
    return left, tracker.close()


def _reruns(prepared: Prepared, selection: Selection) -> dict[Key, Rerun]:
    if not prepared.folder.journal.is_dir():
        return {}
    reader = JournalReader(prepared.folder.journal)
    reader.poll()
    chosen = {} if selection == RUN else selection.reruns(prepared.plan, reader.view)
    return {**without_weights(prepared.plan, prepared.folder, reader.view.state, chosen), **chosen}


def _announce(prepared: Prepared, num_to_run: int, reruns: dict[Key, Rerun], console: Console) -> None:
    """Say what will run and how long it will take, and what of it has run before and why it runs again."""
    from sweeps.console import format_duration

    plan = prepared.plan
    seconds, _ = plan.forecast_seconds(prepared.folder.state())
    console.print(
        f"{prepared.experiment}: {len(plan.arms)} arms x {len(plan.study.seeds)} seeds, "
        f"{num_to_run} of {len(plan.replicates)} replicates to run, {plan.concurrency} at a time "
        f"on {plan.device}, forecast {format_duration(seconds * num_to_run / max(1, len(plan.replicates)))}",
        markup=False,
    )
    for detail, count in Counter(f"{r.reason}, {r.detail}" for r in reruns.values()).items():
        console.print(f"to run again: {count} ({detail})", markup=False)


def _print_table(state: JournalState, console: Console, emit: Emit | None) -> None:
    if state.sweep is not None:
        table = summarise(state)
        if emit:
            emit(table.to_json())
        console.print()
        console.print(render_text(table), markup=False, end="")
    console.print()


def _say_what_is_left(prepared: Prepared, selection: Selection, why: str, left: str, console: Console) -> None:
    if why:
        console.print(f"stopped: {why}", markup=False)
    again = _command_again(prepared, selection)
    console.print(f"{left} replicates are left; continue with: {again}", markup=False)


def _command_again(prepared: Prepared, selection: Selection) -> str:
    return prepared.command("resume" if selection.flags else "run", *selection.flags)


def _exit_code(plan: Plan, state: JournalState, left: Collection[Key], *, has_failed: bool) -> int:
    if left:
        return EXIT_FAILURES if has_failed else EXIT_INTERRUPTED
    ended = {state.replicates[key].status for key in plan.keys}
    return EXIT_FAILURES if FAILURES & ended else EXIT_DONE
