"""The verbs `run` and `resume`: plan, run what is missing, project to MLflow, print the table."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from analysis.records import FAILURES, JournalState
from analysis.results import summarise
from analysis.tables import render_text
from cluster.access import ClusterError
from cluster.inventory import Inventory, local_inventory
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, EXIT_INTERRUPTED, UserError
from sweeps.journal_tail import JournalTail
from sweeps.missing import RUN, Key, Reopening, Selection, missing_replicates
from sweeps.output import Emit
from sweeps.plan import Plan, build_plan, data_dir_from_environment
from sweeps.plugins import options as plugin_options
from sweeps.resolve import load_study
from sweeps.results_folder import ResultsFolder, results_root
from sweeps.sitting import Sitting
from sweeps.study import Study


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
        return shlex.join([*_invocation(), verb, self.given, *words])


def _invocation() -> list[str]:
    """Return how this program was called: by name if that is on the PATH, else as it was typed."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return ["python", "-m", "sweeps"]
    found = shutil.which(called.name)
    if found and Path(found).resolve() == called.resolve():
        return [called.name]
    absolute = called.absolute()
    inside = absolute.is_relative_to(Path.cwd())
    return [str(absolute.relative_to(Path.cwd()) if inside else absolute)]


def prepare(name: str, scale: str, sets: Iterable[str]) -> Prepared:
    """Check everything that can be checked before anything starts.

    Raises:
        UserError: On the first mistake found.
    """
    study = load_study(name, scale, sets)
    folder = ResultsFolder.of(results_root(), study)
    machine = inventory()
    plan = build_plan(study, machine, data_dir_from_environment())
    return Prepared(name, study, plan, folder, machine)


def inventory() -> Inventory:
    """Return what trials can have: this machine, or the cluster that RAY_ADDRESS names."""
    address = ray_address()
    if address is None:
        return local_inventory()
    from cluster.session import cluster_nodes

    try:
        return cluster_nodes(address)
    except ClusterError as error:
        raise UserError(f"RAY_ADDRESS={address}: cannot join that cluster: {error}") from error


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
    sitting: Sitting,
    selection: Selection = RUN,
) -> int:
    """Run what is missing of a study, and what `selection` takes beside it; return the exit code."""
    prepared = prepare(name, scale, sets)
    from sweeps import engine, tracking  # Ray and MLflow, only now that there is something to run
    from sweeps.progress import Progress

    plan, folder = prepared.plan, prepared.folder
    folder.prepare(prepared.study)
    console = Console(stderr=True, soft_wrap=True, highlight=False) if emit else out
    reopenings = _reopenings(prepared, selection)
    missing = {(planned.config_id, seed) for planned, seed in missing_replicates(plan, folder.state())}
    num_to_run = len(missing | reopenings.keys())
    _announce(prepared, num_to_run, reopenings, console)
    uri = tracking.default_tracking_uri(results_root(), os.environ.get("MLFLOW_TRACKING_URI"))
    tracker = tracking.Tracker(folder.journal, uri, prepared.experiment)
    tracker.start()
    left: set[Key] = set()
    if num_to_run:
        with Progress(plan, num_to_run, console, prepared.machine) as progress:
            left = engine.run_plan(
                plan,
                folder,
                sweep_id=engine.new_sweep_id(),
                address=ray_address(),
                listener=progress,
                sitting=sitting,
                reopenings=reopenings,
            )
    behind = tracker.close()
    state = folder.state()
    _print_table(state, console, emit)
    if behind:
        console.print(f"MLflow: {behind}", markup=False)
    console.print(f"results: {folder.path}", markup=False)
    if left:
        _say_what_is_left(prepared, selection, sitting.why, f"{len(left)} of {num_to_run}", console)
    console.print(f"open the MLflow page with: {prepared.command('ui')}", markup=False)
    return _exit_code(plan, state, left)


def _reopenings(prepared: Prepared, selection: Selection) -> dict[Key, Reopening]:
    tail = JournalTail(prepared.folder.journal)
    if selection == RUN or not prepared.folder.journal.is_dir():
        return {}
    tail.poll()
    return selection.reopenings(prepared.plan, tail.following)


def _announce(prepared: Prepared, num_to_run: int, reopenings: dict[Key, Reopening], console: Console) -> None:
    """Say what will run and how long it will take, and what of it has run before and why it runs again."""
    from sweeps.progress import format_duration

    plan = prepared.plan
    seconds, _ = plan.forecast_seconds(prepared.folder.state())
    console.print(
        f"{prepared.experiment}: {len(plan.arms)} arms x {len(plan.study.seeds)} seeds, "
        f"{num_to_run} of {len(plan.replicates)} replicates to run, {plan.concurrency} at a time "
        f"on {plan.device}, forecast {format_duration(seconds * num_to_run / max(1, len(plan.replicates)))}",
        markup=False,
    )
    for detail, count in Counter(f"{r.reason}, {r.detail}" for r in reopenings.values()).items():
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
    verb = "resume" if selection.flags else "run"
    if why:
        console.print(f"stopped: {why}", markup=False)
    again = prepared.command(verb, *selection.flags)
    console.print(f"{left} replicates are left; continue with: {again}", markup=False)


def _exit_code(plan: Plan, state: JournalState, left: Collection[Key]) -> int:
    if left:
        return EXIT_INTERRUPTED
    ended = {state.replicates[key].status for key in plan.keys}
    return EXIT_FAILURES if FAILURES & ended else EXIT_DONE
