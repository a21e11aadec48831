"""The Ray Train driver of a trial over several workers.

Every such trial is a `TorchTrainer` of its own: Ray Train starts new processes for its controller and its workers,
which takes about 20 s on two cores, where the actor of a one-worker trial is reused in less than a tenth of a
second. So several workers are for models that one process cannot hold or would take too long for.

Tune knows the driver only. Ray Train asks for the workers' resources itself, in a placement group of its own.
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
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.execution.context import get_train_context
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.trainable.function_trainable import FunctionTrainable
from ray.util import get_current_placement_group

from trainables.assignment import Assignment
from trainables.attempt import Attempt
from trainables.replicate_folder import FollowerFolder, ReplicateFolder
from trainables.training.distributed import Ranks, is_lost_peer
from trainables.tune_trainable import CONFIG_KEY, EVENT_KEY, GROUP_KEY
from trainables.watchdog import take_stacks

_TRAIN_ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # a report waits this long, and an end; the default is 2 s
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less; the engine starts what was preempted again
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
"""Read in this process, or handed on by it to the controller and the workers."""

_CONTROLLER_KEY = "controller"

_ABORT_SECONDS = 60.0
"""How long a stop waits for Ray Train's controller to end the workers."""

_BEYOND_WATCHDOG_SECONDS = 60.0
"""How much longer than the watchdog a collective waits: who hangs leaves its stacks before the others give up."""

_LOST_PEER_GRACE_SECONDS = 5.0
"""How long a rank keeps to itself that another one has gone, so that the cause is known before the consequence."""


class RankFailedError(Exception):
    """A rank's record of its own failure, on its way to the driver."""

    def __init__(self, rank: int, event: dict[str, Any], is_consequence: bool) -> None:
        super().__init__(rank, event, is_consequence)
        self.rank, self.event, self.is_consequence = rank, event, is_consequence


class RankDiedError(RuntimeError):
    """The process of a rank is gone."""


class WorkersTrainable(FunctionTrainable):
    """Runs one assignment over several workers and reports each event of the first rank.

    A function trainable, because Ray Train reports to those; a class, because Tune's stop has to reach the workers.
    Its first result has no event but a `GROUP_KEY`: what `ray.util.remove_placement_group` takes. Ray gives the
    workers' resources back by itself only when the whole job ends, so whoever learns that this process has died
    has to do it.
    """

    def setup(self, config: dict[str, Any], resources_per_worker: dict[str, float]) -> None:
        """Take an assignment, and what each worker asks of Ray."""
        self._resources_per_worker = resources_per_worker
        self._controller: Any = None
        self._is_stopped = False
        super().setup(config)

    def step(self) -> dict[str, Any]:
        """Return the next event."""
        result: dict[str, Any] = super().step()
        self._controller = result.pop(_CONTROLLER_KEY, self._controller)
        return result

    def cleanup(self) -> None:
        """End the workers if they are still at work, and give their resources back."""
        self._is_stopped = True
        if self._controller is not None:
            # It ends itself, and so does not answer; if it hangs, it dies with its owner, which is this process.
            with suppress(RayActorError, GetTimeoutError):
                ray.get(self._controller.abort.remote(), timeout=_ABORT_SECONDS)
        super().cleanup()

    def _trainable_func(self, config: dict[str, Any]) -> None:
        """Run the trial; in a thread of its own.

        Raises:
            RankDiedError: If a worker's process died, by its own watchdog or otherwise.
        """
        assignment = Assignment.from_json(config[CONFIG_KEY])
        to_tune = TuneReportCallback()
        started_at = time.monotonic()
        try:
            last = self._train(assignment, to_tune)
        except (TrainingFailedError, RayActorError) as error:
            if self._is_stopped:
                return  # nobody asks any more, and this is how Ray Train ends
            if isinstance(error, RayActorError):
                raise
            last = _failure(assignment, error, time.monotonic() - started_at)
        # Only now have the workers ended. It takes the way of all reports: Tune's session forwards them from one
        # queue to another, and would wait for ever if a report of its own came in between.
        to_tune.after_report(None, [{EVENT_KEY: json.dumps(last), "done": True}], None)

    def _train(self, assignment: Assignment, to_tune: TuneReportCallback) -> dict[str, Any]:
        """Return the last event of the first rank."""
        os.environ.update(_TRAIN_ENVIRONMENT)
        timeout_seconds = assignment.report_timeout_seconds + _BEYOND_WATCHDOG_SECONDS
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
                    failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
                    logging_config=LoggingConfig(log_level="ERROR"),
                ),
            )
            last: dict[str, Any] = trainer.fit().return_value
            return last


def train_on_rank(config: dict[str, Any]) -> dict[str, Any]:
    """Train as one rank; every rank reports, Ray Train forwards the first one's report. Return the last event.

    Raises:
        RankFailedError: If this rank failed; Ray Train then ends the others.
    """
    # First of all, for the time until the model is built and the data loaded is long.
    controller = get_train_context().controller_actor
    ray.train.report({_CONTROLLER_KEY: controller, GROUP_KEY: get_current_placement_group()})
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


def _failure(assignment: Assignment, error: TrainingFailedError, seconds: float) -> dict[str, Any]:
    """Return the last event of a trial that failed.

    Raises:
        RankDiedError: If there is a rank that could not say why.
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
    ReplicateFolder(Path(assignment.replicate_dir)).log("".join(traceback.format_exception(error)))
    return {
        "event": "report",
        "step": 0,
        "metrics": {},
        "outcome": "crashed",
        "seconds": seconds,
        "cpu_seconds": None,
        "peak_memory_mib": None,
        "message": f"{type(error).__name__}: {error}",
    }


def _collect_stacks(assignment: Assignment) -> None:
    """Put the stacks of all ranks that hung into one file, those that did not wait for another rank first."""
    path = Path(assignment.replicate_dir)
    folders = [ReplicateFolder(path), *(FollowerFolder(path, rank) for rank in range(1, assignment.workers))]
    found = [text for text in (take_stacks(folder.stacks) for folder in folders) if text]
    if found:
        waited_last = sorted(found, key=lambda text: "torch/distributed" in text)
        folders[0].stacks.write_text("\n\n".join(waited_last), encoding="utf-8")
