"""What a trial costs beside its training: a reused actor against a `TorchTrainer` for every trial."""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from sweeps.run.engine import new_sweep_id, run_plan
from sweeps.run.limits import RunLimits
from sweeps.search.fixed import FixedProposer
from sweeps.store.folder import ResultsFolder
from sweeps.store.reader import JournalReader
from tests.benchmarks.assignments import assignments_of, plan_of
from trainables.worker.assignment import Assignment
from trainables.worker.attempt import Attempt

NUM_OURS = 24
NUM_TORCH_TRAINER = 3
TINY = ("budget.steps=1", "budget.report_every=1", "budget.eval_sequences=1", "optimizer.warmup_steps=0")
"""One step of a model with 53 thousand parameters: next to nothing but overhead."""


class _Ends:
    """Notes when each replicate ends."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def started(self, assignment: Assignment, step: int) -> None:
        """Nothing to note."""

    def reported(self, assignment: Assignment, event: dict[str, Any]) -> None:
        """Note an end."""
        if event["outcome"]:
            self.times.append(time.monotonic())

    def waiting(self, num_held: int) -> None:
        """Nothing to note."""


def ours() -> list[float]:
    """Return seconds from end to end of consecutive trials in one slot, the first, cold one left out."""
    plan = plan_of("nanogpt_cpu", *TINY, f"seeds={NUM_OURS}", cpus=1)
    folder = ResultsFolder(Path(tempfile.mkdtemp(prefix="phasesweep-bench-")))
    ends = _Ends()
    run_plan(
        plan,
        folder,
        FixedProposer(plan.replicates),
        reader=JournalReader(folder.journal),
        sweep_id=new_sweep_id(),
        address=None,
        listener=ends,
        limits=RunLimits(),
        reruns={},
    )
    return [later - earlier for earlier, later in zip(ends.times, ends.times[1:], strict=False)]


def _train_loop(config: dict[str, Any]) -> None:
    list(Attempt(Assignment.from_json(config["assignment"])).events())


def torch_trainer() -> list[float]:
    """Return the wall seconds of a `TorchTrainer` with one worker that does the same work."""
    seconds = []
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        assignments = assignments_of(plan_of("nanogpt_cpu", *TINY, f"seeds={NUM_TORCH_TRAINER}"))
        for assignment in assignments:
            start = time.monotonic()
            TorchTrainer(
                _train_loop,
                train_loop_config={"assignment": assignment.to_json()},
                scaling_config=ScalingConfig(num_workers=1, use_gpu=False),
                run_config=RunConfig(storage_path=tempfile.mkdtemp(prefix="phasesweep-bench-")),
            ).fit()
            seconds.append(time.monotonic() - start)
    finally:
        ray.shutdown()
    return seconds


def report() -> str:
    """Return the benchmark as Markdown."""
    reused, fresh = statistics.median(ours()), statistics.median(torch_trainer())
    return "\n".join(
        [
            "**Cost of a trial** (1 step of `nanogpt_cpu` at smoke scale, building, scoring and probing included; "
            f"1 CPU, 1 thread, ray {ray.__version__})",
            "",
            "| runner | trials | median a trial |",
            "|---|---:|---:|",
            f"| phasesweep, reused actor | {NUM_OURS} | {reused:.2f} s |",
            f"| `TorchTrainer` for each trial | {NUM_TORCH_TRAINER} | {fresh:.2f} s |",
            f"| ratio | | {fresh / reused:.0f}× |",
        ]
    )


if __name__ == "__main__":
    print(report())
