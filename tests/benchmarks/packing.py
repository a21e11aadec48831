"""What packing by memory is worth: time and memory against two habits, and the worker processes that it starts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from ray import tune

from cluster.connection.session import SessionResources, ray_session
from cluster.placement.size_classes import size_classes, with_headroom
from sweeps.run.engine import TUNE_ENVIRONMENT
from tests.support.machine.ledger import Ledger
from tests.support.sweeps.simulation import (
    Outcome,
    Rules,
    cluster_of,
    contract,
    equal_fractions,
    gpus_of,
    mixed_jobs,
    simulate,
)

NUM_JOBS = 400
GPUS = (("large", 4, 94.5), ("small", 4, 24.0))
LARGEST_GIB = 40.0
NUM_TRIALS = 24
MIB = 2**20


@dataclass(frozen=True)
class Policy:
    """A way to place trials on GPUs."""

    name: str
    rules: Rules
    caps: bool


def simulated() -> list[tuple[str, Outcome, float]]:
    """Run one mixed study under each policy on the same ledger; return (name, outcome, packed share)."""
    cluster = cluster_of(*GPUS)
    jobs = mixed_jobs(NUM_JOBS, seed=0, largest_gib=LARGEST_GIB)
    policies = (
        Policy("one trial a GPU", contract(jobs, cluster, gpu_limit=1), caps=True),
        Policy("a quarter of a GPU each, no caps", equal_fractions(jobs, cluster, 4), caps=False),
        Policy("by memory, capped", contract(jobs, cluster), caps=True),
    )
    offered_mib = sum(gpu.count * (gpu.free_mib or 0) for gpu in cluster.gpus)
    found = []
    for policy in policies:
        outcome = simulate(jobs, policy.rules, Ledger(gpus_of(cluster), 0, caps=policy.caps))
        found.append((policy.name, outcome, outcome.used_mib_seconds / (offered_mib * outcome.makespan_seconds)))
    return found


class _Idle(tune.Trainable):
    """A trial that only says in which process it ran."""

    def setup(self, config: dict[str, Any]) -> None:
        """Nothing to set up."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Nothing to reset."""
        return True

    def step(self) -> dict[str, Any]:
        """Return the process."""
        return {"pid": os.getpid(), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to save."""


def _asked(config: dict[str, Any]) -> Any:
    return tune.PlacementGroupFactory([{"CPU": 1.0, "memory": config["memory_mib"] * float(MIB)}])


def started(sizes_mib: list[int]) -> tuple[int, float]:
    """Return the processes that Ray Tune starts for trials of these sizes, and the seconds that it takes."""
    begun = time.monotonic()
    results = tune.Tuner(
        tune.with_resources(_Idle, _asked),
        param_space={"memory_mib": tune.grid_search(sizes_mib)},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=4),
        run_config=tune.RunConfig(verbose=0),
    ).fit()
    return len({result.metrics["pid"] for result in results if result.metrics}), time.monotonic() - begun


def report() -> str:
    """Return both tables as Markdown."""
    lines = [
        f"**Packing** ({NUM_JOBS} trials of 1 to {LARGEST_GIB:g} GiB on 4 GPUs of 94.5 GiB and 4 of 24 GiB; "
        "simulated: a ledger draws what each trial truly needs, log-normal around its estimate by 15 %, 1 in 100 "
        "twice as much)",
        "",
        "| policy | makespan | memory in use | trials lost | of them hurt by a neighbour |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, outcome, share in simulated():
        lost = NUM_JOBS - len(outcome.finished)
        lines.append(f"| {name} | {outcome.makespan_seconds:.0f} s | {share:.0%} | {lost} | {outcome.num_hurt} |")
    jobs = mixed_jobs(NUM_TRIALS, seed=1, largest_gib=8.0)
    exact = sorted((with_headroom(job.estimate_mib) for job in jobs), reverse=True)
    classes = size_classes(exact)
    rounded = [min(size for size in classes if size >= one) for one in exact]
    os.environ.update(TUNE_ENVIRONMENT)
    lines += [
        "",
        f"**Worker processes** ({NUM_TRIALS} trials that do nothing, 2 cores)",
        "",
        "| requests | distinct | processes started | reused | time |",
        "|---|---:|---:|---:|---:|",
    ]
    with ray_session(SessionResources(cpus=2, gpus=0, memory_mib=2 * max(exact)), address=None):
        for name, sizes in (("made to measure", exact), ("size classes", rounded)):
            processes, seconds = started(sizes)
            reused = (NUM_TRIALS - processes) / NUM_TRIALS
            lines.append(f"| {name} | {len(set(sizes))} | {processes} | {reused:.0%} | {seconds:.1f} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
