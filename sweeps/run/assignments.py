"""What a worker is told about the replicate it trains."""

from __future__ import annotations

from dataclasses import asdict

from cluster.placement.oom import Allocation
from sweeps.plan.dependencies import Dependency
from sweeps.plan.plan import Plan
from sweeps.plan.units import PlannedReplicate
from sweeps.store.folder import ResultsFolder
from trainables.config.trial import config_id
from trainables.training.initial_weights import WeightSource
from trainables.worker.assignment import Assignment
from trainables.worker.replicate_folder import ReplicateFolder


def assignment_of(
    replicate: PlannedReplicate, plan: Plan, folder: ResultsFolder, allocation: Allocation, *, is_whole: bool
) -> Assignment:
    """Return the assignment of a replicate with its present memory.

    Args:
        replicate: The replicate.
        plan: Its plan.
        folder: The results folder.
        allocation: Its memory, and how many sequences fit into it.
        is_whole: Whether the micro-batch is the study's own, and not made smaller after an out-of-memory.
    """
    planned, seed, resources = replicate.arm, replicate.seed, plan.study.resources
    key = replicate.key
    return Assignment(
        config_id=planned.config_id,
        seed=seed,
        config=planned.config.model_dump(mode="json"),
        data_hash=planned.data_hash,
        data_dir=str(plan.data_dir) if plan.data_dir else None,
        replicate_dir=str(folder.replicate(*key)),
        device=plan.device,
        threads=resources.cpus_per_trial,
        micro_batch_size=resources.micro_batch_size if is_whole else allocation.micro_batch_size,
        deterministic=resources.deterministic,
        report_timeout_seconds=resources.report_timeout_seconds,
        workers=resources.workers,
        sharding=resources.sharding,
        memory_mib=allocation.memory_mib,
        context_mib=planned.memory.context_mib if plan.device == "cuda" else 0.0,
        weight_sources={need.role: asdict(weight_source_of(need, seed, folder)) for need in planned.dependencies},
        earlier_dirs=earlier_dirs(replicate, folder),
        keep_weights=resources.keep_weights or key in plan.kept,
        plugins=[asdict(plugin) for plugin in planned.config.plugins.values()],
    )


def earlier_dirs(replicate: PlannedReplicate, folder: ResultsFolder) -> list[str]:
    """Return the folders of replicates that are equal to a replicate until one of its changes, the last first."""
    planned = replicate.arm
    origins = {need.role: need.identity for need in planned.dependencies}
    ids = [config_id(config, planned.data_hash, origins) for config, _ in planned.config.earlier()]
    return [str(folder.replicate(one, replicate.seed)) for one in ids]


def weight_source_of(need: Dependency, seed: int, folder: ResultsFolder) -> WeightSource:
    """Return the source of the weights that a replicate with `seed` starts with."""
    key = need.key(seed)
    if key is None:
        return WeightSource(path=str(need.file), identity=need.sha256, config_key=need.identity)
    path = ReplicateFolder(folder.replicate(*key)).weights
    return WeightSource(path=str(path), identity=f"{key[0]}/seed={key[1]}", config_key=need.identity)
