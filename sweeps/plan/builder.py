"""How a plan is made: load the data, name and size every configuration, check that it fits."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.records.description import ArmInfo, ContrastInfo, ExternalInfo, MetricInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Key
from cluster.inventory import Inventory
from cluster.memory.cuda_context import largest_context_mib
from cluster.memory.estimate import PROCESS_MIB
from cluster.memory.worker import Estimates
from cluster.placement.request import ResourceError
from cluster.placement.size_classes import pack, with_larger_sizes
from sweeps.errors import UserError
from sweeps.fields import flatten
from sweeps.plan.batch_splits import depends_on_split
from sweeps.plan.checks import check_metrics, probes
from sweeps.plan.corrections import corrections
from sweeps.plan.plan import Plan
from sweeps.plan.search.candidates import plan_search
from sweeps.plan.search.confirmation import check_finalists
from sweeps.plan.sizing import largest_corners, load_tasks, plan_units, task_key
from sweeps.plan.units import PlannedArm
from sweeps.store.folder import ResultsFolder
from sweeps.store.provenance import provenance
from sweeps.studies.study import Study
from trainables.config.resources import ResourceConfig
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
        study: The study, as `checks.checked` returns it.
        inventory: The resources for trials.
        data_dir: Where local data lies.
        state: The study's journal so far, whose measured peaks correct the estimates.
        folder: Where its results lie, with weights that arms may start with.

    Raises:
        UserError: If data is missing, a metric is unknown, or a trial fits nowhere.
    """
    tasks = load_tasks(study, data_dir)
    on_gpus = study.resources.gpus_per_trial != 0
    estimates = Estimates(largest_context_mib(inventory) if on_gpus else PROCESS_MIB)
    state = state or JournalState()
    of_corners = largest_corners(study, tasks, estimates)
    finished = finished_weights(state, folder)
    prerequisites, arms = (
        _corrected(units, state, study.resources) for units in plan_units(study, tasks, estimates, finished)
    )
    arms = tuple(replace(one, memory=of_corners.get(one.arm.name, one.memory)) for one in arms)
    search = plan_search(study, arms, {arm.name: tasks[task_key(arm)] for arm in study.arms})
    if search is not None:
        check_finalists(search.info, state)
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
    check_metrics(study, {metric.name: metric.direction for metric in task.metrics})
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

    batch_size = planned.config.budget.batch_size
    whole = 1 if depends_on_split(planned.config) else study.resources.micro_batch_of(batch_size)
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


def finished_weights(state: JournalState, folder: ResultsFolder | None) -> dict[Key, bool]:
    """Return every finished replicate, and whether its weights exist."""
    keys = [key for key, replicate in state.replicates.items() if replicate.status == "finished"]
    return {key: folder is not None and ReplicateFolder(folder.replicate(*key)).weights.is_file() for key in keys}


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
        claimed=_claimed(planned, study),
    )


def _claimed(planned: PlannedArm, study: Study) -> dict[str, Any]:
    """Return an arm's values of the fields along which claims run: without them no journal could be judged."""
    named = {name for claim in study.claims for name in (claim.over, *claim.effect) if name is not None}
    fields = flatten(planned.config.model_dump(mode="json"))
    return {name: fields[name] for name in sorted(named & fields.keys())}


def _describe(
    study: Study,
    prerequisites: tuple[PlannedArm, ...],
    arms: tuple[PlannedArm, ...],
    task: Task,
    inventory: Inventory,
) -> SweepInfo:
    return SweepInfo(
        study=study.name,
        scale=study.scale,
        title=study.title,
        primary_metric=study.metric or task.primary_metric,
        metrics=tuple(MetricInfo(**vars(metric)) for metric in task.metrics),
        probes=probes(study),
        arms=tuple(_describe_unit(planned, study) for planned in arms),
        prerequisites=tuple(_describe_unit(planned, study) for planned in prerequisites),
        contrasts=tuple(ContrastInfo(**contrast.model_dump()) for contrast in study.contrasts),
        claims=study.claims,
        ablation=study.ablation,
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
