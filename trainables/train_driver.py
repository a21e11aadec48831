"""The Ray Train driver of a trial over several workers.

Every such trial is a `TorchTrainer` of its own: Ray Train starts new processes for its controller and its workers,
which takes about 20 s on two cores, where the actor of a one-worker trial is reused in less than a tenth of a
second. So several workers are for models that one process cannot hold or would take too long for.

Tune knows the driver only. Ray Train asks for the workers' resources itself, in a placement group of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import ray.train
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train._internal.session import get_session
from ray.train.torch import TorchConfig, TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from trainables.assignment import Assignment
from trainables.attempt import Attempt
from trainables.replicate_folder import FollowerFolder, ReplicateFolder
from trainables.training.distributed import Ranks, is_lost_peer
from trainables.tune_trainable import CONFIG_KEY, EVENT_KEY
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


def drive_workers(config: dict[str, Any], resources_per_worker: dict[str, float]) -> None:
    """Run one assignment over several workers: a function trainable, which reports each event of the first rank.

    Args:
        config: The assignment, as `ReplicateTrainable` gets it.
        resources_per_worker: What each worker asks of Ray.

    Raises:
        RankDiedError: If a worker's process died, by its own watchdog or otherwise.
    """
    os.environ.update(_TRAIN_ENVIRONMENT)
    assignment = Assignment.from_json(config[CONFIG_KEY])
    to_tune = TuneReportCallback()
    scratch = tempfile.mkdtemp(prefix="phasesweep-train-")
    trainer = TorchTrainer(
        train_on_rank,
        train_loop_config={CONFIG_KEY: config[CONFIG_KEY]},
        torch_config=TorchConfig(timeout_s=int(assignment.report_timeout_seconds + _BEYOND_WATCHDOG_SECONDS)),
        scaling_config=ScalingConfig(
            num_workers=assignment.workers,
            use_gpu=assignment.device == "cuda",
            resources_per_worker=resources_per_worker,
        ),
        run_config=RunConfig(
            storage_path=scratch,
            callbacks=[to_tune],
            failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),  # the engine's business
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    started_at = time.monotonic()
    try:
        last = trainer.fit().return_value
    except TrainingFailedError as error:
        last = _failure(assignment, error, time.monotonic() - started_at)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    # Only now have the workers ended. By the way of all reports: Tune's session forwards them from one queue to
    # another and blocks for ever if a report of its own has come in between. So has the end of this function to
    # wait, which Tune's session reports too, until Tune has seen this event and ends the session.
    to_tune.after_report(None, [{EVENT_KEY: json.dumps(last), "done": True}], None)
    get_session().stop_event.wait()


def train_on_rank(config: dict[str, Any]) -> dict[str, Any]:
    """Train as one rank; every rank reports, Ray Train forwards the first one's report. Return the last event.

    Raises:
        RankFailedError: If this rank failed; Ray Train then ends the others.
    """
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
