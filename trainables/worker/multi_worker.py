"""The Ray Train driver of a trial over several workers.

Every such trial is a separate `TorchTrainer`: Ray Train starts new processes for its controller and its workers,
which takes about 20 s on two cores, whereas the actor of a one-worker trial is reused in less than a tenth of a
second. So several workers are for models that one process cannot hold or trains too slowly.

Tune knows only the driver. Ray Train requests the workers' resources itself, in a separate placement group.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.exceptions import GetTimeoutError, RayActorError
from ray.train import ControllerError, FailureConfig, LoggingConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.trainable.function_trainable import FunctionTrainable
from ray.util import get_current_placement_group, placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup

from trainables.training.parallel.ranks import Ranks, is_lost_peer
from trainables.worker.assignment import CONFIG_KEY, EVENT_KEY, GROUP_KEY, WORKER_KEY, Assignment
from trainables.worker.attempt import Attempt
from trainables.worker.replicate_folder import FollowerFolder, ReplicateFolder
from trainables.worker.watchdog import BEYOND_WATCHDOG_SECONDS, read_stack_dump

_TRAIN_ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # delays each report and the end by this long; the default is 2 s
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less; the engine restarts preempted trials
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
"""Environment variables read in this process, or passed by it to the controller and the workers."""

_MIN_START_SECONDS = 60.0
"""Smallest time-out for workers that wait for resources, however short the time between reports is."""

_CONTROLLER_KEY = "controller"

_ABORT_SECONDS = 60.0
"""How long a stop waits for Ray Train's controller to end the workers."""

_LOST_PEER_GRACE_SECONDS = 5.0
"""How long a rank delays its report that another one has gone, so that the cause arrives before the consequence."""


class RankFailedError(Exception):
    """A rank's record of its own failure, on its way to the driver."""

    def __init__(self, rank: int, event: dict[str, Any], is_consequence: bool) -> None:
        super().__init__(rank, event, is_consequence)
        self.rank, self.event, self.is_consequence = rank, event, is_consequence


class RankDiedError(RuntimeError):
    """The process of a rank has died."""


class _ReportWithController(TuneReportCallback):
    """Forwards reports to Tune, from the process of Ray Train's controller, and identifies that actor."""

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        """Add the controller to the first report, which has no event."""
        first, *others = metrics
        if GROUP_KEY in first:
            first = {**first, _CONTROLLER_KEY: ray.get_runtime_context().current_actor}
        super().after_report(run_context, [first, *others], checkpoint)


class WorkersTrainable(FunctionTrainable):
    """Runs one assignment over several workers and reports each event of the first rank.

    A function trainable, because Ray Train reports only to those; a class, because Tune's stop has to reach the
    workers. Its first result has no event but a `GROUP_KEY`: the workers' placement group, for `WorkerGroups`.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Store an assignment, and the resources that each worker requests."""
        self._resources_per_worker = config[WORKER_KEY]
        self._controller: Any = None
        self._is_stopped = False
        super().setup(config)

    def step(self) -> dict[str, Any]:
        """Return the next event."""
        result: dict[str, Any] = super().step()
        self._controller = result.pop(_CONTROLLER_KEY, self._controller)
        return result

    def cleanup(self) -> None:
        """End the workers if they are still running, and release their resources."""
        self._is_stopped = True
        if self._controller is not None:
            # It ends itself, so it does not answer; if it hangs, it dies with its owner, which is this process.
            with suppress(RayActorError, GetTimeoutError):
                ray.get(self._controller.abort.remote(), timeout=_ABORT_SECONDS)
        super().cleanup()

    def _trainable_func(self, config: dict[str, Any]) -> None:
        """Run the trial; called in a separate thread.

        Raises:
            RankDiedError: If a worker's process died, by its own watchdog or otherwise.
        """
        assignment = Assignment.from_json(config[CONFIG_KEY])
        to_tune = _ReportWithController()
        started_at = time.monotonic()
        try:
            last = self._train(assignment, to_tune)
        except (TrainingFailedError, RayActorError) as error:
            if self._is_stopped:
                return  # no further event is requested, and this is how Ray Train ends
            if isinstance(error, RayActorError):
                raise
            has_started = self._controller is not None
            last = _failure(assignment, error, time.monotonic() - started_at, has_started=has_started)
        # Only now have the workers ended. The last event takes the way of all reports: Tune's session forwards them
        # from one queue to another, and would wait forever if a report of its own came in between.
        to_tune.after_report(None, [{EVENT_KEY: json.dumps(last), "done": True}], None)

    def _train(self, assignment: Assignment, to_tune: TuneReportCallback) -> dict[str, Any]:
        """Return the last event of the first rank."""
        patience = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(_start_seconds(assignment))}
        os.environ.update({**_TRAIN_ENVIRONMENT, **patience})
        timeout_seconds = assignment.report_timeout_seconds + BEYOND_WATCHDOG_SECONDS
        with tempfile.TemporaryDirectory(prefix="phasesweep-train-", ignore_cleanup_errors=True) as scratch:
            trainer = TorchTrainer(
                train_on_rank,
                train_loop_config={CONFIG_KEY: assignment.to_json()},
                torch_config=TorchConfig(timeout_s=math.ceil(timeout_seconds)),
                scaling_config=ScalingConfig(
                    num_workers=assignment.workers,
                    use_gpu=assignment.device == "cuda",
                    resources_per_worker=self._resources_per_worker,
                ),
                run_config=RunConfig(
                    storage_path=scratch,
                    callbacks=[to_tune],
                    failure_config=FailureConfig(
                        max_failures=0, max_preemption_failures=0, controller_failure_limit=0
                    ),
                    logging_config=LoggingConfig(log_level="ERROR"),
                ),
            )
            last: dict[str, Any] = trainer.fit().return_value
            return last


class WorkerGroups:
    """The placement groups of the workers of a sweep's trials; removes those of trials whose driver has died.

    Ray removes them by itself only when the whole job ends. If a driver dies before its workers have named their
    group, nothing refers to that group any more. It is among those of this job that no trial had named when
    the driver died, and none of the trials that were starting then names later.
    """

    def __init__(self) -> None:
        self._named: dict[str, PlacementGroup | None] = {}
        self._suspected: list[tuple[set[str], set[str]]] = []

    def started(self, trial_id: str) -> None:
        """Record that a trial has its driver, which will request workers."""
        self._named[trial_id] = None

    def name(self, trial_id: str, group: PlacementGroup) -> None:
        """Record which group a trial's workers have."""
        self._named[trial_id] = group
        self._remove_nobodys()

    def ended(self, trial_id: str) -> None:
        """Record that a trial has ended normally, and so has released its group."""
        self._named.pop(trial_id, None)
        self._remove_nobodys()

    def died(self, trial_id: str) -> None:
        """Remove the group of a trial whose driver has died."""
        group = self._named.pop(trial_id, None)
        if group is not None:
            remove_placement_group(group)
        else:
            starting = {other for other, its_group in self._named.items() if its_group is None}
            self._suspected.append((_groups_of_this_job() - self._ids(), starting))
        self._remove_nobodys()

    def _ids(self) -> set[str]:
        return {group.id.hex() for group in self._named.values() if group is not None}

    def _remove_nobodys(self) -> None:
        """Remove the suspected groups that are known by now to have no owner."""
        undecided = []
        for suspects, starting in self._suspected:
            if any(trial in self._named and self._named[trial] is None for trial in starting):
                undecided.append((suspects - self._ids(), starting))
                continue
            for group in suspects - self._ids():
                remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(group))))
        self._suspected = undecided


def _groups_of_this_job() -> set[str]:
    """Return the ids of this job's placement groups with several bundles; Tune's own have one."""
    job = ray.get_runtime_context().get_job_id()
    return {
        group
        for group, known in placement_group_table().items()
        if group.endswith(job) and len(known["bundles"]) > 1 and known["state"] != "REMOVED"
    }


def train_on_rank(config: dict[str, Any]) -> dict[str, Any]:
    """Train as one rank; every rank reports, Ray Train forwards the first one's report. Return the last event.

    Raises:
        RankFailedError: If this rank failed; Ray Train then ends the others.
    """
    # Before anything else, because building the model and loading the data can take long.
    ray.train.report({GROUP_KEY: get_current_placement_group()})
    ranks = Ranks.joined()
    attempt = Attempt(Assignment.from_json(config[CONFIG_KEY]), ranks)
    for event in attempt.events():
        if attempt.error is not None:
            is_consequence = is_lost_peer(attempt.error)
            time.sleep(_LOST_PEER_GRACE_SECONDS if is_consequence else 0.0)
            raise RankFailedError(ranks.rank, event, is_consequence)
        if event.get("outcome") is not None:
            return event
        ray.train.report({EVENT_KEY: json.dumps(event)})
    raise AssertionError("an attempt ended without an outcome")


def _start_seconds(assignment: Assignment) -> float:
    """Return how long the workers may wait for their resources before the trial has timed out."""
    return max(_MIN_START_SECONDS, assignment.report_timeout_seconds)


def _failure(
    assignment: Assignment, error: TrainingFailedError, seconds: float, *, has_started: bool
) -> dict[str, Any]:
    """Return the last event of a trial that failed.

    Args:
        assignment: What it ran.
        error: What Ray Train says.
        seconds: Since it was given to Ray Train.
        has_started: Whether its workers have reported anything.

    Raises:
        RankDiedError: If there is a rank that could not report why.
    """
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    dead = {rank: failure for rank, failure in failures.items() if not isinstance(failure, RankFailedError)}
    if dead:
        _collect_stacks(assignment)
        rank, failure = next(iter(dead.items()))
        reason = " ".join(str(failure).split())
        raise RankDiedError(f"rank {rank} of {assignment.workers}: {reason}") from error
    told = [failure for failure in failures.values() if isinstance(failure, RankFailedError)]
    if told:
        cause = min(told, key=lambda failure: (failure.is_consequence, failure.event["outcome"] != "oom"))
        return {**cause.event, "message": f"rank {cause.rank}: {cause.event['message']}"}
    folder = ReplicateFolder(Path(assignment.replicate_dir))
    folder.create()
    folder.log("".join(traceback.format_exception(error)))
    # Ray Train has no public name for this error, but nothing else waits so long before the workers start.
    waited = isinstance(error, ControllerError) and not has_started and seconds >= _start_seconds(assignment)
    return {
        "event": "report",
        "step": 0,
        "metrics": {},
        "outcome": "timed_out" if waited else "crashed",
        "seconds": seconds,
        "cpu_seconds": None,
        "peak_memory_mib": None,
        "message": _never_started(assignment) if waited else f"{type(error).__name__}: {error}",
    }


def _never_started(assignment: Assignment) -> str:
    return (
        f"its {assignment.workers} workers did not start within {_start_seconds(assignment):g} s: "
        f"Ray has not granted what they ask for; look at `ray status` on the cluster"
    )


def _collect_stacks(assignment: Assignment) -> None:
    """Collect the stacks of all ranks that hung in one file, first those that did not wait for another rank."""
    path = Path(assignment.replicate_dir)
    folders = [ReplicateFolder(path), *(FollowerFolder(path, rank) for rank in range(1, assignment.workers))]
    found = [text for text in (read_stack_dump(folder.stacks) for folder in folders) if text]
    if found:
        waited_last = sorted(found, key=lambda text: "torch/distributed" in text)
        folders[0].stacks.write_text("\n\n".join(waited_last), encoding="utf-8")
