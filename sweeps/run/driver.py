"""One driver, from the study to its results: plan, select, let the engine run it; a tracker follows.

Prints nothing. The journal is read from its start once, in `prepare`; everything after that reads only what is new.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Key
from analysis.records.statuses import FAILURES
from analysis.results.memory import Receipt, receipt
from cluster.connection.address import ClusterError
from cluster.inventory import Inventory, hypothetical_inventory, local_inventory
from cluster.memory.cuda_context import with_contexts
from sweeps.console import proposed
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, EXIT_INTERRUPTED, UserError
from sweeps.plan.checks import checked, data_dir_from_environment
from sweeps.plan.plan import Plan
from sweeps.plan.search_forecast import forecast_search
from sweeps.plan.selection import RUN, Rerun, Selection, missing_replicates, one_replicate, without_weights
from sweeps.run.limits import RunLimits
from sweeps.search.fixed import FixedProposer
from sweeps.search.proposer import Proposer
from sweeps.store.enqueued import enqueued
from sweeps.store.folder import ResultsFolder, results_root
from sweeps.store.reader import JournalReader
from sweeps.studies.plugins import options as plugin_options
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study
from sweeps.tracking.tracker import Tracker
from sweeps.tracking.uri import tracking_uri_from_environment
from trainables.atomic_write import write_text_atomic
from trainables.config.resources import BY_MEMORY

if TYPE_CHECKING:
    from sweeps.run.recorder import Listener
    from sweeps.tracking.sync import SyncSummary


@dataclass(frozen=True)
class Prepared:
    """A checked study with its plan and results folder; nothing has started."""

    given: str
    """The study as the user named it: a library name or a path."""
    study: Study
    plan: Plan
    folder: ResultsFolder
    machine: Inventory
    """The resources for trials."""
    reader: JournalReader
    """The journal, read so far."""

    @property
    def state(self) -> JournalState:
        """The state of the journal, as far as it has been read."""
        return self.reader.view.state

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return self.folder.experiment

    def command(self, verb: str, *options: str) -> str:
        """Return a command line about this study that works where this one was typed."""
        sets = [part for text in self.study.override_texts for part in ("--set", text)]
        words = ["--scale", self.study.scale, *sets, *plugin_options(), *options]
        return proposed(verb, self.given, *words)


@dataclass(frozen=True)
class ToRun:
    """The replicates of one run."""

    keys: frozenset[Key]
    reruns: Mapping[Key, Rerun]
    """Those of them that had ended, with the reason why they run again."""
    forecast_seconds: float
    """Forecast wall time of all of them, from the journal's measurements."""
    num_searched: int = 0
    """About how many starts a search adds that is not over; 0 if there is none."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run."""
        return not self.keys and not self.num_searched

    @property
    def num_expected(self) -> int:
        """About how many replicates will end."""
        return len(self.keys) + self.num_searched


@dataclass(frozen=True)
class Components:
    """What decides and what shows a run. Another proposer or tracker is passed here; nothing else changes."""

    proposer: Proposer
    tracker: Tracker


@dataclass(frozen=True)
class Ended:
    """How a run has ended."""

    left: frozenset[Key]
    """The replicates that were to run and have not ended."""
    behind: SyncSummary
    """How far the tracker is behind."""
    exit_code: int
    is_searching: bool
    """Whether a search is not over."""
    receipt: Receipt | None
    """The memory receipt; None if nothing has ever run."""


def prepare(
    name: str, scale: str, sets: Iterable[str], *, gpus: str | None = None, only: str | None = None
) -> Prepared:
    """Check everything that can be checked before anything starts; what needs PyTorch comes last.

    Args:
        name: The study: a library name or a path.
        scale: Its scale.
        sets: Overrides, as `key=value`.
        gpus: GPUs to plan for that are not here, as `4x94.5GiB,2x24GiB`; None: the resources at hand.
        only: One replicate, as `ARM@SEED`; None: all.

    Raises:
        UserError: On the first mistake found.
        JournalError: If a line of the journal is damaged.
    """
    packed = [] if gpus is None else [f"resources.gpus_per_trial={BY_MEMORY}"]
    study = load_study(name, scale, [*packed, *sets])
    folder = ResultsFolder.find(results_root(), study.name, study.scale, study.overrides)
    data_dir = data_dir_from_environment()
    machine = _inventory(gpus)
    study = checked(study, machine, data_dir)
    reader = JournalReader(folder.journal)
    reader.poll(final=True)
    if gpus is None and ray_address() is None and study.resources.gpus_per_trial:
        machine = with_contexts(machine)  # takes seconds
    from sweeps.plan.builder import build_plan  # imports PyTorch

    plan = build_plan(study, machine, data_dir, reader.view.state, folder)
    if only is not None:
        plan = one_replicate(plan, only)
    return Prepared(name, study, plan, folder, machine, reader)


def _inventory(gpus: str | None) -> Inventory:
    """Return the resources for trials: hypothetical GPUs, this machine, or the cluster in RAY_ADDRESS."""
    if gpus is not None:
        return _hypothetical(gpus)
    address = ray_address()
    if address is None:
        return local_inventory()
    from cluster.connection.session import cluster_nodes

    try:
        return cluster_nodes(address)
    except ClusterError as error:
        raise UserError(f"RAY_ADDRESS={address}: cannot join that cluster: {error}") from error


def _hypothetical(gpus: str) -> Inventory:
    try:
        return hypothetical_inventory(gpus)
    except ValueError as error:
        raise UserError(f"--gpus {gpus}: {error}") from error


def ray_address() -> str | None:
    """Return RAY_ADDRESS, or None to start a private session."""
    return os.environ.get("RAY_ADDRESS") or None


def what_to_run(prepared: Prepared, selection: Selection) -> ToRun:
    """Return the missing replicates and those of `selection`, with one forecast for all."""
    plan, state = prepared.plan, prepared.state
    chosen = {} if selection == RUN else selection.reruns(plan, prepared.reader.view)
    reruns = {**without_weights(plan, prepared.folder, state, chosen), **chosen}
    keys = frozenset([*(replicate.key for replicate in missing_replicates(plan, state)), *reruns])
    seconds, _ = plan.forecast_seconds(state, keys)
    if plan.search is None:
        return ToRun(keys, reruns, seconds)
    left = forecast_search(plan, state)
    return ToRun(keys, reruns, seconds + left.seconds, left.num_starts)


def default_components(prepared: Prepared) -> Components:
    """Return the components of `run` and `resume`: the plan in its order, and MLflow."""
    from sweeps.tracking.mlflow_store import MlflowTracker  # only now: other verbs need no SQL toolkit

    tracker = MlflowTracker(tracking_uri_from_environment())
    return Components(proposer_of(prepared), tracker)


def proposer_of(prepared: Prepared) -> Proposer:
    """Return what proposes a study's replicates: its search, or the plan in its order."""
    plan = prepared.plan
    if plan.search is None:
        return FixedProposer.of(plan, prepared.state)
    from sweeps.search.searching import SearchProposer

    # As many as can run, and as many that wait for the next free worker.
    most = 2 * plan.concurrency
    return SearchProposer(plan, lambda: prepared.state, most, partial(enqueued, prepared.folder.path))


def run_missing(
    prepared: Prepared,
    to_run: ToRun,
    limits: RunLimits,
    listener: AbstractContextManager[Listener],
    components: Components,
) -> Ended:
    """Run the replicates of `to_run` while the tracker follows, and read the journal to its end.

    Raises:
        JournalError: If the journal cannot be read any more; the tracker has what has been read.
        OSError: If the results folder cannot be written, as on a full disk.
    """
    from sweeps.tracking.sync import TrackingThread

    tracker = TrackingThread(prepared.folder.journal, components.tracker, prepared.experiment)
    tracker.start()
    try:
        left = _run(prepared, to_run, limits, listener, components.proposer) if not to_run.is_empty else frozenset()
    except Exception:
        tracker.close()  # what it has read is still written
        raise
    behind = tracker.close()
    prepared.reader.poll(final=True)
    state = prepared.state
    plan = prepared.plan
    is_searching = plan.search is not None and forecast_search(plan, state).num_starts > 0
    return Ended(
        left,
        behind,
        exit_code(plan, state, left, has_failed=limits.has_failed, is_searching=is_searching),
        is_searching,
        write_receipt(prepared.folder, state, state.sweep) if state.sweep is not None else None,
    )


def _run(
    prepared: Prepared,
    to_run: ToRun,
    limits: RunLimits,
    listener: AbstractContextManager[Listener],
    proposer: Proposer,
) -> frozenset[Key]:
    from sweeps.run import engine  # imports Ray: only if there is something to run

    with listener as listening:
        left = engine.run_plan(
            prepared.plan,
            prepared.folder,
            proposer,
            reader=prepared.reader,
            sweep_id=engine.new_sweep_id(),
            address=ray_address(),
            listener=listening,
            limits=limits,
            reruns=to_run.reruns,
        )
    return frozenset(left)


def write_receipt(folder: ResultsFolder, state: JournalState, sweep: SweepInfo) -> Receipt:
    """Write `report/receipt.json` in a results folder and return its content."""
    made = receipt(state, sweep)
    path = folder.path / "report" / "receipt.json"
    path.parent.mkdir(exist_ok=True)
    write_text_atomic(path, json.dumps(asdict(made), indent=2) + "\n")
    return made


def _of_search(state: JournalState) -> set[Key]:
    """Return the replicates that a search has run."""
    candidates = state.sweep.candidates if state.sweep else ()
    return {key for one in candidates for seed in one.seeds if (key := (one.config_id, seed)) in state.replicates}


def exit_code(
    plan: Plan, state: JournalState, left: Collection[Key], *, has_failed: bool, is_searching: bool = False
) -> int:
    """Return the exit code of a run."""
    if left or is_searching:
        return EXIT_FAILURES if has_failed else EXIT_INTERRUPTED
    keys = {*plan.keys, *_of_search(state)}
    ended = {state.replicates[key].status for key in keys}
    return EXIT_FAILURES if FAILURES & ended else EXIT_DONE
