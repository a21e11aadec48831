"""The plan of a study: what will run, what it needs, how long it takes. Building it starts nothing."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from analysis.attainable import Attainable, attainable
from analysis.claims import Claim
from analysis.records import ArmInfo, ContrastInfo, ExternalInfo, JournalState, MetricInfo, SweepInfo
from analysis.statistics import smallest_detectable_effect
from cluster.inventory import Inventory
from cluster.memory import MemoryEstimate, estimate
from cluster.packing import Request, ResourceError, check_fits, concurrency, of_one_worker, request_for
from sweeps.errors import UserError, nearest
from sweeps.plugins import previous_hash
from sweeps.provenance import provenance
from sweeps.sections import flatten
from sweeps.study import Arm, Study
from sweeps.study_claims import check_metrics
from trainables.architectures.base import count_parameters
from trainables.config import TrialConfig, config_id
from trainables.tasks.base import DataError, Task

ASSUMED_FLOPS_PER_CORE = 2e10
"""Float32 throughput of one core assumed before anything was measured; forecasts say when they rest on it."""
ASSUMED_FLOPS_PER_GPU = 2e13
SECONDS_TO_START_WORKERS = 20.0
"""From the start of a trial of several workers to its first step, as measured on two cores; nothing of it is
reused by the next trial."""


@dataclass(frozen=True)
class PlannedArm:
    """An arm with all that depends on its data."""

    arm: Arm
    config_id: str
    data_hash: str
    memory: MemoryEstimate
    num_parameters: int

    @property
    def config(self) -> TrialConfig:
        """The configuration."""
        return self.arm.config


@dataclass(frozen=True)
class Plan:
    """Everything that `run` will do, and nothing that it has done."""

    study: Study
    arms: tuple[PlannedArm, ...]
    request: Request
    concurrency: int
    device: str
    sweep: SweepInfo
    data_dir: Path | None

    @property
    def replicates(self) -> list[tuple[PlannedArm, int]]:
        """Every (arm, seed), seed by seed with the baseline first; arms that compute the same appear once.

        Seed by seed, a sweep that is cut short still holds paired replicates.
        """
        unique: dict[str, PlannedArm] = {}
        for planned in sorted(self.arms, key=lambda planned: planned.arm.role != "baseline"):
            unique.setdefault(planned.config_id, planned)
        return [(planned, seed) for seed in self.study.seeds for planned in unique.values()]

    @property
    def keys(self) -> list[tuple[str, int]]:
        """(config_id, seed) of every replicate."""
        return [(planned.config_id, seed) for planned, seed in self.replicates]

    def forecast_seconds(self, state: JournalState | None = None) -> tuple[float, str]:
        """Return the forecast wall time of the whole study and what it rests on.

        A configuration that has not run yet is assumed to take what its size says, at the pace of those that have.
        """
        measured = self._measured_seconds(state or JournalState())
        assumed = {planned.config_id: self._assumed_seconds(planned) for planned in self.arms}
        pace = sum(measured.values()) / sum(assumed[one] for one in measured) if measured else 1.0
        starting = SECONDS_TO_START_WORKERS if self.request.workers > 1 else 0.0
        each = {one: measured.get(one, pace * seconds) + starting for one, seconds in assumed.items()}
        total = sum(each[planned.config_id] for planned, _ in self.replicates)
        basis = f"{len(measured)} of {len(assumed)} configurations measured"
        return total / self.concurrency, basis

    def _measured_seconds(self, state: JournalState) -> dict[str, float]:
        """Return the mean wall time of the finished replicates of each configuration of the plan."""
        found: dict[str, list[float]] = {planned.config_id: [] for planned in self.arms}
        for replicate in state.replicates.values():
            if replicate.status == "finished" and replicate.seconds and replicate.config_id in found:
                found[replicate.config_id].append(replicate.seconds)
        return {config_id: sum(seen) / len(seen) for config_id, seen in found.items() if seen}

    def core_seconds(self, state: JournalState | None = None) -> float:
        """Return the forecast cost of the whole study: what it keeps busy, cores times seconds."""
        seconds, _ = self.forecast_seconds(state)
        return seconds * self.concurrency * self.request.cpu * self.request.workers

    @property
    def attainable(self) -> list[tuple[Claim, Attainable]]:
        """What each claim's test can find with these seeds."""
        return [(claim, attainable(claim, len(self.study.seeds))) for claim in self.study.claims]

    @property
    def smallest_detectable_effect_sd(self) -> float | None:
        """Smallest paired difference these seeds detect, in its standard deviations; None below 2 seeds."""
        n = len(self.study.seeds)
        return smallest_detectable_effect(n) if n >= 2 else None

    def _assumed_seconds(self, planned: PlannedArm) -> float:
        """6 floating-point operations per parameter and token, at an assumed throughput."""
        budget, task = planned.config.budget, planned.config.task
        length = int(getattr(task, "context_length", 1))
        operations = 6.0 * planned.num_parameters * budget.steps * budget.batch_size * length
        throughput = ASSUMED_FLOPS_PER_GPU * self.request.gpu or ASSUMED_FLOPS_PER_CORE * self.request.cpu
        return operations / (throughput * self.request.workers)

    def to_json(self, state: JournalState | None = None) -> dict[str, Any]:
        """Return the plan as `plan --json` prints it; schema in `sweeps/schemas/plan.json`."""
        seconds, basis = self.forecast_seconds(state)
        return {
            "study": self.study.name,
            "scale": self.study.scale,
            "device": self.device,
            "configurations": [
                {
                    "config_id": planned.config_id,
                    "arm": planned.arm.name,
                    "parameters": flatten(planned.arm.config.model_dump(mode="json")),
                    "num_parameters": planned.num_parameters,
                    "seeds": list(self.study.seeds),
                    "memory": planned.memory.as_dict(),
                    "size_class": self.request.size_class,
                    "request": {
                        "workers": self.request.workers,
                        "cpu": self.request.cpu,
                        "gpu": self.request.gpu,
                        "memory_mib": self.request.memory_mib,
                    },
                }
                for planned in self.arms
            ],
            "grid": self.study.grid.to_json() if self.study.grid else None,
            "plugins": [
                {**plugin.describe(), "previous_sha256": previous_hash(plugin, state or JournalState())}
                for plugin in self.study.plugins
            ],
            "num_trials": len(self.replicates),
            "num_replicates": len(self.replicates),
            "concurrency": self.concurrency,
            "forecast_seconds": round(seconds, 1),
            "forecast_core_seconds": round(self.core_seconds(state), 1),
            "forecast_basis": basis,
            "smallest_detectable_effect_sd": self.smallest_detectable_effect_sd,
            "claims": [
                {"id": claim.id, "kind": claim.kind, "settled_at": claim.settled_at, **asdict(found)}
                for claim, found in self.attainable
            ],
        }


def data_dir_from_environment() -> Path | None:
    """Return `PHASESWEEP_DATA` as a path.

    Raises:
        UserError: If it names no folder.
    """
    text = os.environ.get("PHASESWEEP_DATA")
    if not text:
        return None
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise UserError(f"PHASESWEEP_DATA={text}: no such folder; correct it or unset it")
    return path


def build_plan(study: Study, inventory: Inventory, data_dir: Path | None) -> Plan:
    """Load the data, name every configuration, estimate memory and check that it fits.

    Raises:
        UserError: If data is missing, a metric is unknown, or a trial fits nowhere.
    """
    study = _with_absolute_paths(study, data_dir)
    tasks = _load_tasks(study, data_dir)
    _check_workers(study)
    arms = _plan_arms(study, tasks)
    request = request_for(study.resources, [planned.memory for planned in arms])
    try:
        check_fits(request, inventory)
    except ResourceError as error:
        raise UserError(
            f"{study.where('resources')}: study '{study.name}' at scale '{study.scale}': {error}"
        ) from error
    task = tasks[_task_key(study.baseline)]
    return Plan(
        study=study,
        arms=arms,
        request=request,
        concurrency=concurrency(request, inventory),
        device="cuda" if request.gpu else "cpu",
        sweep=_describe(study, arms, task),
        data_dir=data_dir,
    )


def _with_absolute_paths(study: Study, data_dir: Path | None) -> Study:
    """Make the paths of every arm's task absolute: Ray's workers run in folders of their own."""

    def absolute(arm: Arm) -> Arm:
        task = arm.config.task.with_absolute_paths(data_dir)
        return replace(arm, config=arm.config.model_copy(update={"task": task}))

    try:
        return replace(study, arms=tuple(absolute(arm) for arm in study.arms))
    except DataError as error:
        raise UserError(f"{study.where('task', 'corpus')}: {error}") from error


def _task_key(arm: Arm) -> str:
    return arm.config.task.model_dump_json()


def _load_tasks(study: Study, data_dir: Path | None) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    for arm in study.arms:
        key = _task_key(arm)
        if key not in tasks:
            try:
                tasks[key] = arm.config.task.build(data_dir)
            except DataError as error:
                raise UserError(f"{study.where('task', 'corpus')}: {error}") from error
    return tasks


def _check_workers(study: Study) -> None:
    """Refuse arms that several workers cannot train together."""
    workers, sharding = study.resources.workers, study.resources.sharding
    for arm in study.arms:
        if arm.config.budget.batch_size % workers:
            raise UserError(
                f"{study.where('resources', 'workers')}: workers={workers} must divide "
                f"budget.batch_size={arm.config.budget.batch_size} of arm '{arm.name}': every worker trains on an "
                "equal part of each batch"
            )
        if sharding == "fsdp" and arm.config.optimizer.name == "adamw_8bit":
            raise UserError(
                f"{study.where('resources', 'sharding')}: sharding=fsdp cannot divide the state of "
                f"optimizer.name=adamw_8bit of arm '{arm.name}'; choose adamw, or sharding=replicated"
            )


def _plan_arms(study: Study, tasks: dict[str, Task]) -> tuple[PlannedArm, ...]:
    """Size every arm; arms that need the same memory are sized once."""
    sizes: dict[str, tuple[int, MemoryEstimate]] = {}
    planned = []
    for arm in study.arms:
        task = tasks[_task_key(arm)]
        key = _size_key(arm)
        if key not in sizes:
            sizes[key] = _size(arm, task, study)
        num_parameters, memory = sizes[key]
        identity = config_id(arm.config, task.data_hash)
        planned.append(PlannedArm(arm, identity, task.data_hash, memory, num_parameters))
    return tuple(planned)


def _size_key(arm: Arm) -> str:
    """Return all that decides the shapes of a trial's tensors."""
    fields = arm.config.model_dump(mode="json")
    for name in arm.config.architecture.memory_neutral:
        del fields["architecture"][name]
    return json.dumps(fields, sort_keys=True)


def _size(arm: Arm, task: Task, study: Study) -> tuple[int, MemoryEstimate]:
    """Return the number of parameters and the memory of one worker of a trial."""
    vocab_size, length, resources = task.vocab_size, task.context_length, study.resources
    try:
        num_parameters = count_parameters(arm.config.architecture, vocab_size=vocab_size, max_seq_len=length)
        share = arm.config.budget.batch_size // resources.workers
        micro = min(resources.micro_batch_size or share, share)
        whole = estimate(arm.config, vocab_size=vocab_size, context_length=length, micro_batch_size=micro)
        memory = of_one_worker(whole, resources)
    except ValueError as error:  # a budget too small for the model, or a model that cannot be estimated
        raise UserError(f"{study.where('architecture')}: {error} (arm '{arm.name}')") from error
    return num_parameters, memory


def _describe(study: Study, arms: tuple[PlannedArm, ...], task: Task) -> SweepInfo:
    metrics = tuple(MetricInfo(**vars(metric)) for metric in task.metrics)
    primary = study.metric or task.primary_metric
    if primary not in {metric.name for metric in metrics}:
        known = [metric.name for metric in metrics]
        raise UserError(f"{study.where('metric')}: unknown metric '{primary}'; {nearest(primary, known)}")
    sweep = SweepInfo(
        study=study.name,
        scale=study.scale,
        title=study.title,
        primary_metric=primary,
        metrics=metrics,
        arms=tuple(
            ArmInfo(
                arm=planned.arm.name,
                config_id=planned.config_id,
                parameters=planned.arm.changes,
                num_parameters=planned.num_parameters,
                seeds=study.seeds,
                role=planned.arm.role,
                note=planned.arm.note,
                data_hash=planned.data_hash,
                predicted_memory_mib=round(planned.memory.total_mib, 1),
            )
            for planned in arms
        ),
        references=task.references(),
        contrasts=tuple(ContrastInfo(**contrast.model_dump()) for contrast in study.contrasts),
        claims=study.claims,
        external=tuple(
            ExternalInfo(**{**external.model_dump(), "values": tuple(external.values)})
            for external in study.external
        ),
        provenance={
            **provenance(),
            "folder": study.folder_name,
            "overrides": study.overrides,
            "plugins": [plugin.describe() for plugin in study.plugins],
        },
    )
    check_metrics(study, sweep.all_metrics)
    return sweep
