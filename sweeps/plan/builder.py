"""How a plan is made: load the data, name and size every configuration, check that it fits."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from analysis.records.description import ArmInfo, ContrastInfo, ExternalInfo, MetricInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Key
from cluster.inventory import Inventory
from cluster.memory.cuda_context import largest_context_mib
from cluster.memory.estimate import PROCESS_MIB, MemoryEstimate
from cluster.memory.worker import Estimates, micro_batch_size
from cluster.placement.request import ResourceError
from cluster.placement.size_classes import pack, with_larger_sizes
from sweeps.errors import UserError, nearest
from sweeps.plan.batch_splits import check_batch_splits, depends_on_split
from sweeps.plan.candidates import corner_arms, plan_search
from sweeps.plan.corrections import corrections
from sweeps.plan.dependencies import (
    Dependency,
    absolute,
    backbone_key,
    backbones,
    resume_dependency,
    topological_order,
)
from sweeps.plan.plan import Plan
from sweeps.plan.size_limits import check_sizes
from sweeps.plan.units import PlannedArm
from sweeps.store.folder import ResultsFolder
from sweeps.store.provenance import provenance
from sweeps.studies.claims import check_metrics
from sweeps.studies.study import Arm, Study
from sweeps.studies.validation import field_in
from trainables.architectures.base.parameters import count_parameters
from trainables.config.initial_weights import BACKBONE
from trainables.config.resources import ResourceConfig
from trainables.config.trial import config_id
from trainables.data.errors import DataError
from trainables.tasks.base.task import Task
from trainables.worker.replicate_folder import ReplicateFolder


def build_plan(
    study: Study,
    inventory: Inventory,
    data_dir: Path | None,
    state: JournalState | None = None,
    folder: ResultsFolder | None = None,
) -> Plan:
    """Load the data, name every configuration, estimate memory and check that it fits.

    Args:
        study: The study.
        inventory: The resources for trials.
        data_dir: Where local data lies.
        state: The study's journal so far, whose measured peaks correct the estimates.
        folder: Where its results lie, with weights that arms may start with.

    Raises:
        UserError: If data is missing, a metric is unknown, or a trial fits nowhere.
    """
    _check(study, inventory)
    study = with_absolute_paths(study, data_dir)
    tasks = load_tasks(study, data_dir)
    on_gpus = study.resources.gpus_per_trial != 0
    estimates = Estimates(largest_context_mib(inventory) if on_gpus else PROCESS_MIB)
    state = state or JournalState()
    of_corners = _largest_corners(study, tasks, estimates)
    finished = finished_weights(state, folder)
    prerequisites, arms = (
        _corrected(units, state, study.resources) for units in plan_units(study, tasks, estimates, finished)
    )
    arms = tuple(replace(one, memory=of_corners.get(one.arm.name, one.memory)) for one in arms)
    search = plan_search(study, arms, {arm.name: tasks[task_key(arm)] for arm in study.arms})
    needs_mib = {planned.config_id: planned.need_mib for planned in (*prerequisites, *arms)}
    try:
        packing = pack(study.resources, needs_mib, inventory)
        sizes = with_larger_sizes(packing, study.resources, inventory)
    except ResourceError as error:
        largest = max((*prerequisites, *arms), key=lambda planned: planned.need_mib)
        proposal = _smaller_micro_batch(largest, tasks[task_key(largest.arm)], study, estimates, inventory)
        raise UserError(
            f"{study.where('resources')}: study '{study.name}' at scale '{study.scale}', arm '{largest.arm.name}': "
            f"{error}{proposal}"
        ) from error
    task = tasks[task_key(study.baseline)]
    return Plan(
        study=study,
        arms=arms,
        prerequisites=prerequisites,
        packing=packing,
        sizes=sizes,
        device="cuda" if on_gpus else "cpu",
        sweep=replace(
            _describe(study, prerequisites, arms, task, inventory), search=search.info if search else None
        ),
        data_dir=data_dir,
        search=search,
        references=task.references,
    )


def _check(study: Study, inventory: Inventory) -> None:
    """Refuse arms, or corners of their spaces, that no machine can hold or that no batch can be split for."""
    at_corners = replace(study, arms=(*study.arms, *(arm for arms in corner_arms(study).values() for arm in arms)))
    _check_workers(at_corners)
    check_sizes(at_corners, inventory)
    check_batch_splits(at_corners)


def _largest_corners(study: Study, tasks: dict[str, Task], estimates: Estimates) -> dict[str, MemoryEstimate]:
    """Return the largest estimate among the corners of each searched arm's space."""
    found = {}
    for name, arms in corner_arms(study).items():
        _announce_measuring(replace(study, arms=arms), tasks, estimates)
        sized = [_planned(study, arm, tasks, estimates, ()).memory for arm in arms]
        found[name] = max(sized, key=lambda memory: memory.total_mib)
    return found


def _smaller_micro_batch(
    planned: PlannedArm, task: Task, study: Study, estimates: Estimates, inventory: Inventory
) -> str:
    """Return the micro-batch with which an arm would fit, and what it would then need; empty if there is none."""

    def asked_mib(size: int) -> int | None:
        """Return the memory that it would request; None if that fits nowhere."""
        resources = study.resources.model_copy(update={"micro_batch_size": size})
        need_mib = estimates.of_worker(planned.config, task, resources).total_mib
        try:
            return pack(resources, {planned.config_id: need_mib}, inventory).classes[0].memory_mib
        except ResourceError:
            return None

    whole = 1 if depends_on_split(planned.config) else micro_batch_size(planned.config, study.resources)
    sizes = [whole >> halvings for halvings in range(1, whole.bit_length())]
    first = bisect_left(sizes, True, key=lambda size: asked_mib(size) is not None)
    if first == len(sizes):
        return ""
    setting = f"resources.micro_batch_size={sizes[first]}"
    return f"; with --set {setting} it asks for {asked_mib(sizes[first])} MiB and fits"


def _corrected(
    arms: tuple[PlannedArm, ...], state: JournalState, resources: ResourceConfig
) -> tuple[PlannedArm, ...]:
    factors = corrections(arms, state, "cuda" if resources.gpus_per_trial != 0 else "cpu", resources)
    return tuple(replace(one, correction=factors.get(one.config.architecture.name, 1.0)) for one in arms)


def with_absolute_paths(study: Study, data_dir: Path | None) -> Study:
    """Make the paths of every arm's task absolute: Ray's workers run in folders of their own.

    Raises:
        UserError: If data is missing.
    """
    try:
        return absolute(study, data_dir)
    except (DataError, OSError) as error:
        raise UserError(f"{_place_of_data(study, study.baseline)}: {error}") from error


def task_key(arm: Arm) -> str:
    """Return a key that is equal for arms of the same task."""
    return arm.config.task.model_dump_json()


def load_tasks(study: Study, data_dir: Path | None) -> dict[str, Task]:
    """Load every task of a study once, by `task_key`.

    Raises:
        UserError: If data is missing.
    """
    tasks: dict[str, Task] = {}
    for arm in (*(backbone.arm for backbone in backbones(study).values()), *study.arms):
        key = task_key(arm)
        if key not in tasks:
            try:
                tasks[key] = arm.config.task.build(data_dir)
            except (DataError, OSError) as error:
                raise UserError(f"{_place_of_data(study, arm)}: {error}") from error
    return tasks


def _place_of_data(study: Study, arm: Arm) -> str:
    """Return where a study names an arm's data: the corpus, or the task if it has none."""
    key = ("task", "corpus") if "corpus" in type(arm.config.task).model_fields else ("task",)
    return study.where(*key, arm=arm.name)


def _check_workers(study: Study) -> None:
    """Refuse arms that several workers cannot train together."""
    workers, sharding = study.resources.workers, study.resources.sharding
    for arm in (*(backbone.arm for backbone in backbones(study).values()), *study.arms):
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
        if sharding == "fsdp" and not arm.config.architecture.shardable:
            raise UserError(
                f"{study.where('resources', 'sharding')}: sharding=fsdp cannot divide architecture "
                f"'{arm.config.architecture.name}' of arm '{arm.name}'; choose sharding=replicated"
            )


class Units(NamedTuple):
    """Everything that is trained."""

    prerequisites: tuple[PlannedArm, ...]
    arms: tuple[PlannedArm, ...]


def finished_weights(state: JournalState, folder: ResultsFolder | None) -> dict[Key, bool]:
    """Return every finished replicate, and whether its weights exist."""
    keys = [key for key, replicate in state.replicates.items() if replicate.status == "finished"]
    return {key: folder is not None and ReplicateFolder(folder.replicate(*key)).weights.is_file() for key in keys}


def plan_units(
    study: Study, tasks: dict[str, Task], estimates: Estimates, finished: Mapping[Key, bool] | None = None
) -> Units:
    """Size every arm and every prerequisite; configurations that need the same memory are sized once.

    What takes long is announced on standard error.

    Args:
        study: The study.
        tasks: Its tasks, loaded.
        estimates: How they are sized.
        finished: Replicates with a result that arms may start with, and whether their weights exist.

    Raises:
        UserError: If a budget is too small for its model, a model cannot be estimated, or the weights that an arm
            starts with do not exist.
    """
    _announce_measuring(study, tasks, estimates)
    trained = {
        key: replace(_planned(study, backbone.arm, tasks, estimates, ()), seed=backbone.seed)
        for key, backbone in backbones(study).items()
    }
    known: dict[str, str] = {}
    planned: dict[str, PlannedArm] = {}
    for arm in topological_order(study):
        needs = []
        if (key := backbone_key(arm)) in trained:
            needs.append(Dependency(role=BACKBONE, config_id=trained[key].config_id, seed=trained[key].seed))
        if arm.config.resume_from is not None:
            needs.append(resume_dependency(study, arm, known, finished or {}))
        planned[arm.name] = _planned(study, arm, tasks, estimates, tuple(needs))
        known[arm.name] = planned[arm.name].config_id
    # Backbones that differ only in fields without effect on results, such as checkpointed blocks, are one.
    once = {(unit.config_id, unit.seed): unit for unit in trained.values()}
    return Units(tuple(once.values()), tuple(planned[arm.name] for arm in study.arms))


def _announce_measuring(study: Study, tasks: dict[str, Task], estimates: Estimates) -> None:
    """Tell why a plan takes its time, if estimates are missing in the cache."""
    arms = (*(backbone.arm for backbone in backbones(study).values()), *study.arms)
    num_missing = estimates.num_missing(((arm.config, tasks[task_key(arm)]) for arm in arms), study.resources)
    if num_missing:
        configurations = "1 configuration" if num_missing == 1 else f"{num_missing} configurations"
        sys.stderr.write(f"measuring the memory of {configurations}…\n")


def _planned(
    study: Study, arm: Arm, tasks: dict[str, Task], estimates: Estimates, needs: tuple[Dependency, ...]
) -> PlannedArm:
    """Size one arm."""
    task = tasks[task_key(arm)]
    try:
        num_parameters = count_parameters(
            arm.config.architecture, vocab_size=task.vocab_size, max_seq_len=task.max_length
        )
        memory = estimates.of_worker(arm.config, task, study.resources)
    except ValueError as error:
        field = field_in(str(error), arm.config.architecture.model_dump())
        place = study.where("architecture", *map(str, field), arm=arm.name)
        raise UserError(f"{place}: {error} (arm '{arm.name}')") from error
    if not num_parameters and arm.config.budget.steps:
        raise UserError(
            f"{study.where('budget', 'steps')}={arm.config.budget.steps}: arm '{arm.name}' has nothing to train; "
            "set budget.steps: 0 to score it as it starts"
        )
    identity = config_id(arm.config, task.data_hash, {need.role: need.identity for need in needs})
    return PlannedArm(arm, identity, task.data_hash, memory, num_parameters, task.context_length, needs)


def _describe_unit(planned: PlannedArm, study: Study) -> ArmInfo:
    return ArmInfo(
        arm=planned.arm.name,
        config_id=planned.config_id,
        parameters=planned.arm.changes,
        num_parameters=planned.num_parameters,
        seeds=planned.seeds(study),
        role=planned.arm.role,
        note=planned.arm.note,
        data_hash=planned.data_hash,
        predicted_memory_mib=round(planned.need_mib, 1),
    )


def _probes(units: tuple[PlannedArm, ...]) -> tuple[MetricInfo, ...]:
    """Return the probes that the families of these arms declare, each once."""
    declared = {probe.name: probe for unit in units for probe in unit.config.architecture.probes}
    return tuple(MetricInfo(**vars(probe)) for probe in declared.values())


def _describe(
    study: Study,
    prerequisites: tuple[PlannedArm, ...],
    arms: tuple[PlannedArm, ...],
    task: Task,
    inventory: Inventory,
) -> SweepInfo:
    metrics = tuple(MetricInfo(**vars(metric)) for metric in task.metrics)
    probes = _probes((*prerequisites, *arms))
    primary = study.metric or task.primary_metric
    known = [metric.name for metric in (*metrics, *probes)]
    if primary not in known:
        raise UserError(f"{study.where('metric')}: unknown metric '{primary}'; {nearest(primary, known)}")
    sweep = SweepInfo(
        study=study.name,
        scale=study.scale,
        title=study.title,
        primary_metric=primary,
        metrics=metrics,
        probes=probes,
        arms=tuple(_describe_unit(planned, study) for planned in arms),
        prerequisites=tuple(_describe_unit(planned, study) for planned in prerequisites),
        contrasts=tuple(ContrastInfo(**contrast.model_dump()) for contrast in study.contrasts),
        claims=study.claims,
        external=tuple(
            ExternalInfo(**{**external.model_dump(), "values": tuple(external.values)})
            for external in study.external
        ),
        provenance={
            **provenance(),
            "folder": study.results_key,
            "overrides": study.overrides,
            "offered_mib": inventory.offered_mib(on_gpus=study.resources.gpus_per_trial != 0),
            "plugins": [plugin.describe() for plugin in study.plugins],
        },
    )
    check_metrics(study, sweep.all_metrics)
    return sweep
