"""The engine: runs what a plan is missing on Ray Tune and writes everything that happens to the journal."""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import tempfile
import time
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from analysis.replicates import Key
from cluster.access import ClusterError
from cluster.guard import GiveUp, Retry
from cluster.session import Offer, RayFailure, outlive, ray_session
from cluster.slots import Slots
from sweeps.agenda import LOOK_EVERY_SECONDS, Agenda, Claimed
from sweeps.deadlines import Deadlines
from sweeps.journal import ClaimBook, JournalWriter
from sweeps.journal_tail import JournalTail
from sweeps.missing import Reopening
from sweeps.plan import Plan
from sweeps.recorder import Listener, Recorder
from sweeps.recovery import Recovery
from sweeps.results_folder import ResultsFolder
from sweeps.search import DriverOnly, ReplicateSearcher
from sweeps.sitting import Sitting
from trainables.assignment import Assignment
from trainables.memory_cap import ALLOCATOR_ENVIRONMENT, SpentProcessError
from trainables.tune_trainable import ACTOR_KEY, EVENT_KEY, GROUP_KEY, ReplicateTrainable

if TYPE_CHECKING:
    from trainables.train_driver import WorkerGroups

TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our journal replaces Tune's loggers
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own state is disposable
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours also gives claims back
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_AIR_NEW_OUTPUT": "0",
}

_MACHINE_IS_LOST = ("its node has died", "its owner has died")
"""What Ray says of an actor that has not died by itself."""


def new_sweep_id() -> str:
    """Return a name for a driver's journal that sorts by time and never repeats."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def run_plan(
    plan: Plan,
    folder: ResultsFolder,
    *,
    sweep_id: str,
    address: str | None,
    listener: Listener,
    sitting: Sitting,
    reopenings: Mapping[Key, Reopening],
) -> set[Key]:
    """Run everything that the plan misses, until it is done or the sitting ends. The journal says how it went.

    Args:
        plan: What to run.
        folder: Where; prepared.
        sweep_id: Name of this driver's journal.
        address: Ray cluster to use, or None for a session of our own.
        listener: Told about every start and report.
        sitting: Limits, and the way to stop; says afterwards why it ended.
        reopenings: What has ended and shall run again.

    Returns:
        What was to run and has no end; empty if all is done.
    """
    writer = JournalWriter(folder.journal, sweep_id)

    def stop(by: str) -> None:
        sitting.stop(f"by {by}")

    try:
        writer.write_sweep(plan.sweep)
        with ClaimBook(folder.claims, sweep_id, on_stop=stop) as claims:
            agenda = Agenda(plan, JournalTail(folder.journal), claims, reopenings)
            recorder = Recorder(writer, claims, listener)
            _Engine(plan, folder, agenda, recorder, listener, sitting).run(address)
            left = agenda.left()
        if left:
            writer.write("interrupted", reason=sitting.why)
    finally:
        writer.close()
    return left


class _Engine(DriverOnly, tune.Callback):
    """Feeds Tune, and hands what Tune reports to the recorder."""

    def __init__(
        self,
        plan: Plan,
        folder: ResultsFolder,
        agenda: Agenda,
        recorder: Recorder,
        listener: Listener,
        sitting: Sitting,
    ) -> None:
        self.plan, self.folder, self.agenda, self.recorder = plan, folder, agenda, recorder
        self.listener, self.sitting = listener, sitting
        self.searcher: ReplicateSearcher
        self._deadlines: Deadlines
        self._worker_groups: WorkerGroups | None = None
        self._silenced: dict[str, str] = {}
        self.recovery = Recovery(plan)

    def run(self, address: str | None) -> None:
        """Run until nothing is left, for this driver or another, or the sitting ends.

        Whatever fails on the way, what was reported is in the journal: the failure is written to driver.log,
        and is the reason why the sitting ended.
        """
        os.environ.update(TUNE_ENVIRONMENT)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # how each worker died, the journal says
        scratch = Path(tempfile.mkdtemp(prefix="phasesweep-tune-"))
        try:
            with self.sitting.interruptible():
                if not self._await_work():
                    return
            # Ray installs its own signal handlers when it starts: ours must come after.
            with (
                ray_session(self._offer(), address=address, worker_environment=ALLOCATOR_ENVIRONMENT),
                self.sitting.interruptible(),
            ):
                for number in itertools.count():
                    outlive(self._tuner(scratch / str(number)).fit)
                    if not self._await_work():
                        break
        except Exception as error:  # noqa: BLE001  nothing is lost, and the user is told how to go on
            self._note_failure(error)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _await_work(self) -> bool:
        """Return True once there is something to start; False if there never will be, or the sitting ends."""
        told = False
        while not self.sitting.is_over and not self.sitting.is_full:
            outlook = self.agenda.look()
            if outlook.blocked and not outlook.free and not outlook.held:
                self.sitting.fail(f"{'; '.join(outlook.blocked)}; mend that, and continue with resume --failed")
            if outlook.free or not outlook.held:
                return outlook.free > 0
            if not told:
                self.listener.waiting(outlook.held)
                told = True
            time.sleep(LOOK_EVERY_SECONDS)
        return False

    def _offer(self) -> Offer:
        """Return what the largest need of any class of trials is."""
        asked = [(one.concurrency, request) for one in self.plan.sizes.classes for request in one.requests]
        return Offer(
            cpus=max(slots * request.workers * request.cpu for slots, request in asked),
            gpus=max(request.cards(slots) for slots, request in asked),
            memory_mib=max(slots * request.host_memory_mib for slots, request in asked),
        )

    def _trainable(self) -> Any:
        """Return what runs a replicate, with what it asks of Ray."""
        if self.plan.request.workers == 1:
            return tune.with_resources(ReplicateTrainable, _bundles)
        from trainables.train_driver import WorkerGroups, WorkersTrainable  # Ray Train, which others do without

        self._worker_groups = WorkerGroups()
        return tune.with_resources(WorkersTrainable, _bundles)

    def _slots(self) -> Slots:
        """Twice the slots: a trial waits, started, for the next free actor, and no core idles.

        A driver of several workers would wait with all its processes, for the workers' resources: none does.
        """
        return Slots(self.plan.sizes, look_ahead=2 if self.plan.request.workers == 1 else 1)

    def _tuner(self, scratch: Path) -> Any:
        """Return a Tune run that lasts until the agenda has nothing more to hand out."""
        self.searcher = ReplicateSearcher(
            self.agenda, self._slots(), self.recovery.size_class, self.sitting, self._begin
        )
        self._deadlines = Deadlines(self.searcher.suggested)
        return tune.Tuner(
            self._trainable(),
            tune_config=tune.TuneConfig(
                search_alg=self.searcher,
                num_samples=-1,
                reuse_actors=self.plan.request.workers == 1,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=str(scratch),
                callbacks=[self],
                stop=_StopWithSitting(self.sitting),
                verbose=0,
            ),
        )

    def _begin(self, claimed: Claimed) -> Assignment:
        assignment = self._assignment(claimed)
        self.recorder.begin(assignment, claimed.reopening, last_event_at=claimed.last_event_at)
        return assignment

    def _assignment(self, claimed: Claimed) -> Assignment:
        planned, seed, resources = claimed.planned, claimed.seed, self.plan.study.resources
        grant = self.recovery.grant((planned.config_id, seed))
        is_whole = grant.micro_batch_size == self.recovery.micro_batch_size(planned)
        return Assignment(
            config_id=planned.config_id,
            seed=seed,
            config=planned.config.model_dump(mode="json"),
            data_hash=planned.data_hash,
            data_dir=str(self.plan.data_dir) if self.plan.data_dir else None,
            replicate_dir=str(self.folder.replicate(planned.config_id, seed)),
            device=self.plan.device,
            threads=resources.cpus_per_trial,
            micro_batch_size=resources.micro_batch_size if is_whole else grant.micro_batch_size,
            deterministic=resources.deterministic,
            report_timeout_seconds=resources.report_timeout_seconds,
            workers=resources.workers,
            sharding=resources.sharding,
            memory_mib=grant.memory_mib,
            context_mib=planned.memory.context_mib if self.plan.device == "cuda" else 0.0,
            origins={need.role: asdict(need.origin(seed, self.folder)) for need in planned.needs},
            keep_weights=resources.keep_weights or (planned.config_id, seed) in self.plan.kept,
            plugins=[asdict(plugin) for plugin in planned.config.plugins.values()],
        )

    def _note_failure(self, error: Exception) -> None:
        log = self.folder.path / "driver.log"
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} the run failed\n")
            file.write("".join(traceback.format_exception(error)))
        why = f"the run failed: {_last_line(str(error)) or type(error).__name__} (more in {log})"
        # Ray's death is an interruption: the same command goes on. Anything else may fail again in the same way.
        end = self.sitting.stop if isinstance(error, RayFailure | ClusterError) else self.sitting.fail
        end(why)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Kill the process of each trial that has been silent for too long; Tune then tells of its death."""
        if not self._deadlines.are_due:
            return
        actors = {trial.trial_id: trial.temporary_state.ray_actor for trial in trials}
        missed = self._deadlines.missed([trial_id for trial_id, actor in actors.items() if actor is not None])
        for trial_id, what_is_known in missed.items():
            self._silenced[trial_id] = what_is_known
            ray.kill(actors[trial_id])

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that a trial has its process."""
        self._deadlines.started(trial.trial_id)
        if self._worker_groups:
            self._worker_groups.started(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that a trial has ended in order, or is being stopped."""
        if self._worker_groups:
            self._worker_groups.ended(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write a trainable's event to the journal."""
        if self._worker_groups and GROUP_KEY in result:
            self._deadlines.heard(trial.trial_id)
            self._worker_groups.name(trial.trial_id, result[GROUP_KEY])
            return
        event = json.loads(result[EVENT_KEY])
        is_start = event["event"] == "started"
        self._deadlines.heard(trial.trial_id, f"{event['pid']} on {event['host']}" if is_start else "")
        self._record(self.searcher.suggested[trial.trial_id], event)

    def _record(self, assignment: Assignment, event: dict[str, Any]) -> None:
        """Write an event to the journal; what ran out of memory is tried again if that can help."""
        decision = self.recovery.consider(assignment, event) if event.get("outcome") else None
        match decision:
            case Retry(reason=reason):
                self.recorder.record(assignment, {**event, "retry": reason})
                self.agenda.try_again((assignment.config_id, assignment.seed))
            case GiveUp(message=message):
                self.recorder.record(assignment, {**event, "message": f"{event['message']}; {message}"})
            case None:
                self.recorder.record(assignment, event)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a worker process that died. Once the sitting is over, it is we who end them."""
        if self._worker_groups:
            self._worker_groups.died(trial.trial_id)
        if not self.sitting.is_over:
            last_words = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
            if SpentProcessError.__name__ in last_words:
                return  # it told its result before; the replicate may already run again
            self.recorder.record_death(
                self.searcher.suggested[trial.trial_id],
                _last_line(last_words) or "no message",
                lost_machine=any(words in last_words for words in _MACHINE_IS_LOST),
                silence=self._silenced.get(trial.trial_id, ""),
            )


def _bundles(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return what Tune's own actor asks of Ray."""
    return tune.PlacementGroupFactory([config[ACTOR_KEY]])


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


class _StopWithSitting(DriverOnly, tune.Stopper):
    """Ends the Tune run when the sitting is over."""

    def __init__(self, sitting: Sitting) -> None:
        self._sitting = sitting

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Return whether everything has to stop now."""
        return self._sitting.is_over
