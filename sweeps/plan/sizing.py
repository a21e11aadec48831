"""Everything that a study trains, named and sized: this loads the data, and counts and measures models."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from analysis.records.replicates import Key
from cluster.memory.estimate import MemoryEstimate
from cluster.memory.worker import Estimates
from sweeps.errors import UserError
from sweeps.plan.checks import data_mistake, model_mistake, plugin_mistake
from sweeps.plan.dependencies import (
    Dependency,
    backbone_key,
    backbones,
    resume_dependency,
    topological_order,
    trained_arms,
)
from sweeps.plan.search.corners import corner_arms
from sweeps.plan.units import PlannedArm
from sweeps.studies.study import Arm, Study
from trainables.architectures.base.parameters import count_parameters
from trainables.config.initial_weights import BACKBONE
from trainables.config.trial import config_id
from trainables.data.errors import DataError
from trainables.tasks.base.config import TaskConfig
from trainables.tasks.base.task import Task

LONG_TEXT = 10_000_000
"""Bytes of synthetic text that take seconds to make."""
MANY_LAYERS = 100
"""Layers whose memory takes seconds to measure: about a twentieth of one each."""


def task_key(arm: Arm) -> str:
    """Return a key that is equal for arms of the same task."""
    return arm.config.task.model_dump_json()


def load_tasks(study: Study, data_dir: Path | None) -> dict[str, Task]:
    """Load every task of a study once, by `task_key`.

    Raises:
        UserError: If data is missing.
    """
    tasks: dict[str, Task] = {}
    for arm in trained_arms(study):
        key = task_key(arm)
        if key not in tasks:
            _announce_text(arm.config.task)
            try:
                tasks[key] = arm.config.task.build(data_dir)
            except (DataError, OSError) as error:
                raise data_mistake(study, arm, error) from error
            except Exception as error:
                if mistake := plugin_mistake(arm, error):
                    raise mistake from error
                raise
    return tasks


class Units(NamedTuple):
    """Everything that is trained."""

    prerequisites: tuple[PlannedArm, ...]
    arms: tuple[PlannedArm, ...]


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


def largest_corners(study: Study, tasks: dict[str, Task], estimates: Estimates) -> dict[str, MemoryEstimate]:
    """Return the largest estimate among the corners of each searched arm's space."""
    found = {}
    for name, arms in corner_arms(study).items():
        _announce_measuring(replace(study, arms=arms), tasks, estimates)
        sized = [_planned(study, arm, tasks, estimates, ()).memory for arm in arms]
        found[name] = max(sized, key=lambda memory: memory.total_mib)
    return found


def _announce_text(task: TaskConfig) -> None:
    """Tell why a plan takes its time, if a long text is made rather than read."""
    size = getattr(task, "max_bytes", None) or 0
    if size >= LONG_TEXT and str(getattr(task, "corpus", "")).startswith("synthetic"):
        sys.stderr.write(f"making {size:,} bytes of synthetic text, about 1 s for each 3,000,000…\n")


def _announce_measuring(study: Study, tasks: dict[str, Task], estimates: Estimates) -> None:
    """Tell why a plan takes its time, if estimates are missing in the cache."""
    arms = trained_arms(study)
    num_missing = estimates.num_missing([(arm.config, tasks[task_key(arm)]) for arm in arms], study.resources)
    if num_missing:
        configurations = "1 configuration" if num_missing == 1 else f"{num_missing} configurations"
        deepest = max(arms, key=_num_layers)
        layers = _num_layers(deepest)
        depth = f" (arm '{deepest.name}' has {layers} layers, measured one by one)" if layers >= MANY_LAYERS else ""
        sys.stderr.write(f"measuring the memory of {configurations}{depth}…\n")


def _num_layers(arm: Arm) -> int:
    return getattr(arm.config.architecture, "num_layers", 0)


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
        raise model_mistake(study, arm, error) from error
    except Exception as error:
        if mistake := plugin_mistake(arm, error):
            raise mistake from error
        raise
    if not num_parameters and arm.config.budget.steps:
        raise UserError(
            f"{study.where('budget', 'steps')}={arm.config.budget.steps}: arm '{arm.name}' has nothing to train; "
            "set budget.steps: 0 to score it as it starts"
        )
    identity = config_id(arm.config, task.data_hash, {need.role: need.identity for need in needs})
    return PlannedArm(
        arm=arm,
        config_id=identity,
        data_hash=task.data_hash,
        memory=memory,
        num_parameters=num_parameters,
        context_length=task.context_length,
        dependencies=needs,
        scored_tokens=task.scored_tokens,
    )
