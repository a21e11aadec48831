"""The verb `run`: plan, run what is missing, project to MLflow, print the table."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from analysis.records import FAILURES, JournalState
from analysis.results import summarise
from analysis.tables import render_text
from cluster.inventory import Inventory, local_inventory
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, EXIT_INTERRUPTED, UserError
from sweeps.missing import missing_replicates
from sweeps.plan import Plan, build_plan, data_dir_from_environment
from sweeps.resolve import load_study
from sweeps.results_folder import ResultsFolder, results_root
from sweeps.study import Study

if TYPE_CHECKING:
    from sweeps.tracking import ProjectionSummary

Emit = Callable[[Any], None]


@dataclass(frozen=True)
class Prepared:
    """A study with its plan and its folder, checked; nothing has started."""

    given: str
    """The study as the user named it: a library name or a path."""
    study: Study
    plan: Plan
    folder: ResultsFolder

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return f"{self.study.name}@{self.study.folder_name}"

    def command(self, verb: str) -> str:
        """Return a command line about this study that works where this one was typed."""
        sets = [part for text in self.study.override_texts for part in ("--set", text)]
        return shlex.join([*_invocation(), verb, self.given, "--scale", self.study.scale, *sets])


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
    plan = build_plan(study, inventory(), data_dir_from_environment())
    return Prepared(name, study, plan, folder)


def inventory() -> Inventory:
    """Return what trials can have: this machine, or the cluster that RAY_ADDRESS names."""
    address = ray_address()
    if address is None:
        return local_inventory()
    from cluster.session import cluster_nodes

    try:
        return cluster_nodes(address)
    except (ConnectionError, ValueError, RuntimeError) as error:  # what Ray raises, by kind of address
        raise UserError(f"RAY_ADDRESS={address}: cannot join that cluster: {error}") from error


def ray_address() -> str | None:
    """Return RAY_ADDRESS, or None to start a session of our own."""
    return os.environ.get("RAY_ADDRESS") or None


def run(out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str]) -> int:
    """Run what is missing of a study; return the exit code."""
    prepared = prepare(name, scale, sets)
    from sweeps import engine, tracking  # Ray and MLflow, only now that there is something to run
    from sweeps.progress import Progress, format_duration

    plan, folder = prepared.plan, prepared.folder
    folder.prepare(prepared.study)
    console = Console(stderr=True, soft_wrap=True, highlight=False) if emit else out
    missing = missing_replicates(plan, folder.state())
    seconds, _ = plan.forecast_seconds(folder.state())
    console.print(
        f"{prepared.experiment}: {len(plan.arms)} arms x {len(plan.study.seeds)} seeds, "
        f"{len(missing)} of {len(plan.replicates)} replicates to run, {plan.concurrency} at a time "
        f"on {plan.device}, "
        f"forecast {format_duration(seconds * len(missing) / max(1, len(plan.replicates)))}",
        markup=False,
    )
    uri = tracking.default_tracking_uri(results_root(), os.environ.get("MLFLOW_TRACKING_URI"))
    tracker = tracking.Tracker(folder.journal, uri, prepared.experiment)
    tracker.start()
    if missing:
        with Progress(plan, len(missing), console) as progress:
            engine.run_plan(plan, folder, sweep_id=engine.new_sweep_id(), address=ray_address(), listener=progress)
    behind = tracker.close()
    state = folder.state()
    _close(prepared, state, console, emit, behind)
    return _exit_code(plan, state)


def _close(
    prepared: Prepared, state: JournalState, console: Console, emit: Emit | None, behind: ProjectionSummary
) -> None:
    """Print the table, what MLflow misses, and what to do next."""
    if state.sweep is not None:
        table = summarise(state)
        if emit:
            emit(table.to_json())
        console.print()
        console.print(render_text(table), markup=False, end="")
    console.print()
    if behind:
        console.print(f"MLflow: {behind}", markup=False)
    console.print(f"results: {prepared.folder.path}", markup=False)
    unfinished = _unfinished(prepared.plan, state)
    if unfinished:
        console.print(
            f"{unfinished} replicates have no end yet; continue with: {prepared.command('run')}", markup=False
        )
    console.print(f"open the MLflow page with: {prepared.command('ui')}", markup=False)


def _unfinished(plan: Plan, state: JournalState) -> int:
    """Count replicates that have not ended: interrupted, or still with another driver."""
    return sum(key not in state.replicates or state.replicates[key].status is None for key in plan.keys)


def _exit_code(plan: Plan, state: JournalState) -> int:
    if _unfinished(plan, state):
        return EXIT_INTERRUPTED
    ended = {state.replicates[key].status for key in plan.keys}
    return EXIT_FAILURES if FAILURES & ended else EXIT_DONE
