"""The engine: connects the work queue to Ray Tune, and writes every event of a replicate to the journal."""

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
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from analysis.records.replicates import Key
from cluster.connection.address import ClusterError
from cluster.connection.session import RayFailure, SessionResources, ray_session, run_while_ray_is_alive
from cluster.placement.oom import Fail, Retry
from cluster.placement.slots import Slots
from sweeps.plan.plan import Plan
from sweeps.plan.selection import Rerun
from sweeps.run.assignments import assignment_of
from sweeps.run.crash_streak import CrashStreak
from sweeps.run.deadlines import Deadlines
from sweeps.run.decisions import JournalLog
from sweeps.run.leased_work import Leased
from sweeps.run.limits import RunLimits
from sweeps.run.memory_retry import MemoryRetries
from sweeps.run.queue import REFRESH_EVERY_SECONDS, WorkQueue
from sweeps.run.recorder import Listener, Recorder
from sweeps.run.tune_adapter import DriverOnly, ReplicateSearcher
from sweeps.search.proposer import Decider, Proposer, Report
from sweeps.store.folder import ResultsFolder
from sweeps.store.journal import JournalWriter
from sweeps.store.leases import ReplicateLeases
from sweeps.store.reader import JournalReader
from trainables.full_disk import full_disk
from trainables.worker.assignment import ACTOR_KEY, EVENT_KEY, GROUP_KEY, Assignment
from trainables.worker.memory_limit import ALLOCATOR_ENVIRONMENT, WorkerRecycledError
from trainables.worker.single_worker import ReplicateTrainable

if TYPE_CHECKING:
    from trainables.worker.multi_worker import WorkerGroups

TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our journal replaces Tune's loggers
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own state is disposable
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours also releases leases
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_AIR_NEW_OUTPUT": "0",
}

_NODE_IS_LOST = ("its node has died", "its owner has died", "The actor is temporarily unavailable")
"""Ray's messages about an actor whose node, or whose Ray there, is gone; no exception type tells this. Ray uses
the last one until it notices that a node is gone; a dead process on a live node it notices at once."""


def new_sweep_id() -> str:
    """Return a name for a driver's journal that sorts by time and never repeats."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def run_plan(
    plan: Plan,
    folder: ResultsFolder,
    proposer: Proposer,
    *,
    reader: JournalReader,
    sweep_id: str,
    address: str | None,
    listener: Listener,
    limits: RunLimits,
    reruns: Mapping[Key, Rerun],
) -> set[Key]:
    """Run the missing replicates of a plan until all have ended or the run ends. The journal has the outcomes.

    Args:
        plan: The plan.
        folder: The prepared results folder.
        proposer: Decides which replicate runs next.
        reader: The journal, read so far; nobody else may use it meanwhile.
        sweep_id: Name of this driver's journal.
        address: Ray cluster to use, or None for a private session.
        listener: Receives every start and report.
        limits: The run's limits; they also stop the run, and hold the reason afterwards.
        reruns: Ended replicates that are to run again.

    Returns:
        The replicates that were to run and have not ended; empty if all is done.
    """
    writer = JournalWriter(folder.journal, sweep_id)
    try:
        writer.write_sweep(plan.described())
        with ReplicateLeases(folder.leases, sweep_id, on_stop=lambda by: limits.stop(f"by {by}")) as leases:
            memory_retries = MemoryRetries(plan)
            queue = WorkQueue(plan, proposer, reader, leases, reruns, memory_retries.size_class)
            if isinstance(proposer, Decider):
                proposer.write_to(JournalLog(writer, leases, queue.read_journal, reader.newest))
            recorder = Recorder(writer, leases, listener)
            _Engine(plan, folder, proposer, queue, memory_retries, recorder, listener, limits).run(address)
            left = queue.left()
        if left or queue.has_more:
            writer.write("interrupted", reason=limits.stop_reason or "")
    finally:
        writer.close()
    return left


class _Engine(DriverOnly, tune.Callback):
    """Starts Tune, and passes its callbacks to the recorder."""

    def __init__(
        self,
        plan: Plan,
        folder: ResultsFolder,
        proposer: Proposer,
        queue: WorkQueue,
        memory_retries: MemoryRetries,
        recorder: Recorder,
        listener: Listener,
        limits: RunLimits,
    ) -> None:
        self.plan, self.folder, self.proposer, self.queue = plan, folder, proposer, queue
        self.memory_retries, self.recorder = memory_retries, recorder
        self.listener, self.limits = listener, limits
        self.searcher: ReplicateSearcher
        self._deadlines: Deadlines
        self._worker_groups: WorkerGroups | None = None
        self._unresponsive: dict[str, str] = {}
        self._pruned: set[str] = set()
        is_one = plan.search is None and len(plan.units) == 1
        self._crash_streak = CrashStreak(is_one_configuration=is_one)

    def run(self, address: str | None) -> None:
        """Run until nothing is left for this or any other driver, or the run ends.

        A failure is written to driver.log and becomes the reason why the run ended; everything reported before it
        is in the journal.
        """
        os.environ.update(TUNE_ENVIRONMENT)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the journal has how each worker died
        scratch = Path(tempfile.mkdtemp(prefix="phasesweep-tune-"))
        try:
            with self.limits.interruptible():
                if not self._await_work():
                    return
            # Ray installs its own signal handlers when it starts: ours must come after.
            with (
                ray_session(self._offer(), address=address, worker_environment=ALLOCATOR_ENVIRONMENT),
                self.limits.interruptible(),
            ):
                for number in itertools.count():
                    run_while_ray_is_alive(self._tuner(scratch / str(number)).fit)
                    if not self._await_work():
                        break
        except Exception as error:  # noqa: BLE001  nothing is lost, and a message says how to go on
            self._note_failure(error)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _await_work(self) -> bool:
        """Wait until there is a replicate to start: True; False if there never will be, or the run ends."""
        is_announced = False
        while not self.limits.stop_requested:
            status = self.queue.refresh()
            if self.limits.start_limit_reached:
                return self.queue.has_retries
            if status.blocked and not status.has_free and not status.held:
                self.limits.fail(f"{'; '.join(status.blocked)}; fix that, and continue with resume --failed")
            if status.has_free or not (status.held or status.can_decide):
                return status.has_free
            if status.held and not is_announced:
                self.listener.waiting(status.held)
                is_announced = True
            time.sleep(REFRESH_EVERY_SECONDS)
        return False

    def _offer(self) -> SessionResources:
        """Return the most resources that any size class of trials can use."""
        asked = [(one.concurrency, request) for one in self.plan.sizes.classes for request in one.requests]
        return SessionResources(
            cpus=max(slots * request.workers * request.cpu for slots, request in asked),
            gpus=max(request.num_gpus(slots) for slots, request in asked),
            memory_mib=max(slots * request.host_memory_mib for slots, request in asked),
        )

    def _trainable(self) -> Any:
        """Return the trainable of a replicate, with its resource request."""
        if self.plan.request.workers == 1:
            return tune.with_resources(ReplicateTrainable, _bundles)
        from trainables.worker.multi_worker import WorkerGroups, WorkersTrainable

        self._worker_groups = WorkerGroups()
        return tune.with_resources(WorkersTrainable, _bundles)

    def _slots(self) -> Slots:
        """Return twice the slots, so that a started trial waits for the next free actor and no core idles.

        A trial of several workers would hold its processes while it waits for resources: there are no spare slots.
        """
        return Slots(self.plan.sizes, look_ahead=2 if self.plan.request.workers == 1 else 1)

    def _tuner(self, scratch: Path) -> Any:
        """Return a Tune run that lasts until the queue has nothing more to hand out."""
        self.searcher = ReplicateSearcher(self.queue, self._slots(), self.limits, self._begin)
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
                stop=_Stopper(self.limits, self._prunes),
                verbose=0,
            ),
        )

    def _begin(self, leased: Leased) -> Assignment:
        allocation = self.memory_retries.allocation(leased.planned.key)
        is_whole = allocation.micro_batch_size == self.memory_retries.micro_batch_size(leased.planned.arm)
        assignment = assignment_of(leased.planned, self.plan, self.folder, allocation, is_whole=is_whole)
        self.recorder.begin(assignment, leased.rerun, last_event_at=leased.last_event_at)
        self._crash_streak.begin(assignment.key)
        return assignment

    def _note_failure(self, error: Exception) -> None:
        log = self.folder.path / "driver.log"
        # A full disk may be the failure itself: the reason is kept even if it cannot be logged.
        with suppress(OSError), log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} the run failed\n")
            file.write("".join(traceback.format_exception(error)))
        if full := full_disk(error, self.folder.path):
            self.limits.fail(f"{full}; free space")
            return
        why = f"the run failed: {_last_line(str(error)) or type(error).__name__} (more in {log})"
        # Ray's death is an interruption: the same command continues. Any other failure may happen again.
        end = self.limits.stop if isinstance(error, RayFailure | ClusterError) else self.limits.fail
        end(why)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Kill the process of each unresponsive trial; Tune then reports its death."""
        if not self._deadlines.are_due:
            return
        actors = {trial.trial_id: trial.temporary_state.ray_actor for trial in trials}
        missed = self._deadlines.missed([trial_id for trial_id, actor in actors.items() if actor is not None])
        for trial_id, what_is_known in missed.items():
            self._unresponsive[trial_id] = what_is_known
            ray.kill(actors[trial_id])

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that a trial has its process."""
        self._deadlines.started(trial.trial_id)
        if self._worker_groups:
            self._worker_groups.started(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that a trial has ended normally, or is being stopped by Tune."""
        if self._worker_groups:
            self._worker_groups.ended(trial.trial_id)

    def _prunes(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether the proposer stops a trial early; Tune calls this before `on_trial_result`."""
        event = json.loads(result.get(EVENT_KEY, "{}"))
        if event.get("event") != "report" or event["outcome"]:
            return False
        report = Report(self.searcher.suggested[trial_id].key, event["step"], event["metrics"])
        if not self.proposer.should_stop(report):
            return False
        self._pruned.add(trial_id)
        return True

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write a trainable's event to the journal."""
        if self._worker_groups and GROUP_KEY in result:
            self._deadlines.heard(trial.trial_id)
            self._worker_groups.name(trial.trial_id, result[GROUP_KEY])
            return
        event = json.loads(result[EVENT_KEY])
        if trial.trial_id in self._pruned:
            event |= {"outcome": "pruned", "message": f"stopped early at step {event['step']}"}
        is_start = event["event"] == "started"
        self._deadlines.heard(trial.trial_id, f"{event['pid']} on {event['host']}" if is_start else "")
        self._record(self.searcher.suggested[trial.trial_id], event)

    def _record(self, assignment: Assignment, event: dict[str, Any]) -> None:
        """Write an event to the journal; a replicate that ran out of memory is retried if that can help.

        A disk that runs full ends the run: whatever trains next would meet it too.
        """
        if event.get("disk_is_full"):
            self.limits.fail(f"{event['message']}; free space")
        decision = self.memory_retries.consider(assignment, event) if event.get("outcome") else None
        match decision:
            case Retry(reason=reason):
                self.recorder.record(assignment, {**event, "retry": reason})
                self.queue.try_again(assignment.key)
            case Fail(message=message):
                self.recorder.record(assignment, {**event, "message": f"{event['message']}; {message}"})
            case None:
                self.recorder.record(assignment, event)
        if event.get("outcome"):
            self._note_end(assignment, event)

    def _note_end(self, assignment: Assignment, event: dict[str, Any]) -> None:
        self.queue.note_end()
        if why := self._crash_streak.end(assignment.key, event["outcome"], event["message"]):
            self.limits.fail(
                f"{why}; fix that, and go on: `resume --failed` takes what crashed more than once, too"
            )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a worker process that died, unless the run is over: then the driver has ended it."""
        if self._worker_groups:
            self._worker_groups.died(trial.trial_id)
        if not self.limits.stop_requested:
            last_words = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
            if WorkerRecycledError.__name__ in last_words:
                return  # its result was reported before; the replicate may already run again
            assignment = self.searcher.suggested[trial.trial_id]
            event = self.recorder.record_death(
                assignment,
                _last_line(last_words) or "no message",
                lost_node=is_node_lost(last_words),
                unresponsive=self._unresponsive.get(trial.trial_id),
            )
            if event is not None:
                self._note_end(assignment, event)


def _bundles(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return the resource request of Tune's actor."""
    return tune.PlacementGroupFactory([config[ACTOR_KEY]])


def is_node_lost(last_words: str) -> bool:
    """Return whether Ray's message about a dead actor means that its node, or Ray there, has died."""
    return any(words in last_words for words in _NODE_IS_LOST)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


class _Stopper(DriverOnly, tune.Stopper):
    """Stops one trial when its proposer prunes it, and all trials when the run is over."""

    def __init__(self, limits: RunLimits, prunes: Callable[[str, dict[str, Any]], bool]) -> None:
        self._limits, self._prunes = limits, prunes

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether a trial must stop now."""
        return self._prunes(trial_id, result)

    def stop_all(self) -> bool:
        """Return whether all trials must stop now."""
        return self._limits.stop_requested
