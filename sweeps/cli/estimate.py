"""The verb `estimate`: where the memory of a trial goes, and what would shrink it. Starts nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sweeps.console import Output, text_table
from sweeps.errors import UserError, first_few, nearest
from sweeps.plan.batch_splits import depends_on_split
from sweeps.plan.checks import checked, data_dir_from_environment
from sweeps.plan.units import PlannedArm
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig

if TYPE_CHECKING:
    from cluster.memory.estimate import MemoryEstimate
    from cluster.memory.worker import Estimates
    from trainables.tasks.base.task import Task

PARTS = ("parameters", "gradients", "optimizer", "activations", "workspace", "context", "total")
HEADERS = ("params", "grads", "optim", "activ", "work", "context", "total")
"""Of the parts, so that the table fits 80 columns."""

MIN_SAVED_MIB = 1.0
"""Smallest saving that is listed."""

LEGEND = (
    "context: the process itself, before any model; work: what is needed for a moment beside the rest; "
    "peak in probes: while the trained model is measured at the end"
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """What one worker needs, and the arms for which that is the same."""

    arms: tuple[str, ...]
    num_parameters: tuple[int, ...]
    """Of each arm."""
    memory: MemoryEstimate

    def to_json(self) -> dict[str, Any]:
        """Return one of `sizes` in `estimate --json`."""
        return {
            "arms": list(self.arms),
            "num_parameters": list(self.num_parameters),
            "memory": self.memory.as_dict(),
            "peak_stage": self.memory.peak_stage,
        }


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of a study, and what it would do."""

    setting: str
    """As `--set` takes it."""
    meaning: str
    """What else changes; empty: results stay the same up to rounding."""
    memory: MemoryEstimate
    saved_mib: float

    def to_json(self) -> dict[str, Any]:
        """Return one of `changes` in `estimate --json`."""
        return {
            "setting": self.setting,
            "meaning": self.meaning,
            "memory": self.memory.as_dict(),
            "peak_stage": self.memory.peak_stage,
            "saved_mib": round(self.saved_mib, 1),
        }


def estimate(output: Output, arguments: StudyArguments, *, arm: str | None = None) -> None:
    """Print the sizes of a study's trials, largest first, and what would shrink one of them.

    Args:
        output: Where to print.
        arguments: The study; it need not fit on this machine.
        arm: The arm whose changes to list; None: the largest one.

    Raises:
        UserError: On a size that nothing holds, or data that are not there.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it logs at import which optional kernels it lacks
    data_dir = data_dir_from_environment()
    study = load_study(*arguments)
    _check_arm(study, arm)
    study = checked(study, None, data_dir)
    from cluster.memory.worker import Estimates  # from here on PyTorch is needed
    from sweeps.plan.sizing import load_tasks, plan_units, task_key

    tasks, estimates = load_tasks(study, data_dir), Estimates()
    sizes = _sizes(plan_units(study, tasks, estimates).arms)
    chosen = arm or sizes[0].arms[0]
    before = next(size.memory for size in sizes if chosen in size.arms)
    config = next(one.config for one in study.arms if one.name == chosen)
    task = next(tasks[task_key(one)] for one in study.arms if one.name == chosen)
    changes = _changes(config, task, study.resources, before, estimates)
    described = {
        "study": study.name,
        "scale": study.scale,
        "device": "cuda" if study.resources.gpus_per_trial else "cpu",
        "micro_batch_size": study.resources.micro_batch_of(config.budget.batch_size),
        "sizes": [size.to_json() for size in sizes],
        "arm": chosen,
        "changes": [change.to_json() for change in changes],
    }

    def text(out: Console) -> None:
        title = f"{study.name}@{study.scale}: memory of one worker at its peak, MiB"
        out.print(title, style="bold", markup=False)
        out.print(_size_table(sizes))
        out.print(LEGEND, markup=False)
        peak = f"{before.total_mib:.0f} MiB at its peak, in {before.peak_stage}"
        out.print(f"\nwhat would shrink '{chosen}' ({peak}):", markup=False)
        _print_changes(out, changes)

    output.show(described, text)


def _check_arm(study: Study, arm: str | None) -> None:
    names = [one.name for one in study.arms]
    if arm is not None and arm not in names:
        raise UserError(f"--arm {arm}: study '{study.name}' has no such arm; {nearest(arm, names)}")


def _sizes(arms: Iterable[PlannedArm]) -> list[Size]:
    """Return the distinct sizes, the largest first."""
    together: dict[MemoryEstimate, list[tuple[str, int]]] = {}
    for planned in arms:
        together.setdefault(planned.memory, []).append((planned.arm.name, planned.num_parameters))
    found = [
        Size(
            arms=tuple(name for name, _ in members),
            num_parameters=tuple(count for _, count in members),
            memory=memory,
        )
        for memory, members in together.items()
    ]
    return sorted(found, key=lambda size: -size.memory.total_mib)


def _changes(
    config: TrialConfig, task: Task, resources: ResourceConfig, before: MemoryEstimate, estimates: Estimates
) -> list[Change]:
    """Return the possible changes of a trial, with the memory that it would then need."""
    found = []
    for setting, meaning, changed, asked in _alternatives(config, resources):
        memory = estimates.of_worker(changed, task, asked)
        saved = before.total_mib - memory.total_mib
        found.append(Change(setting=setting, meaning=meaning, memory=memory, saved_mib=saved))
    return found


def _alternatives(
    config: TrialConfig, resources: ResourceConfig
) -> Iterator[tuple[str, str, TrialConfig, ResourceConfig]]:
    """Yield (setting, meaning, configuration, resources) of every change that is possible."""
    whole = resources.micro_batch_of(config.budget.batch_size)
    noise = "" if config.architecture.microbatch_invariant else "its noise is drawn for each part of the batch"
    for divisor in () if depends_on_split(config) else (2, 4):
        if whole >= divisor:
            smaller = whole // divisor
            asked = resources.model_copy(update={"micro_batch_size": smaller})
            yield f"resources.micro_batch_size={smaller}", noise, config, asked
    if getattr(config.architecture, "checkpoint_blocks", None) is False:
        architecture = config.architecture.model_copy(update={"checkpoint_blocks": True})
        meaning = "each block is computed twice; the result stays the same"
        changed = config.model_copy(update={"architecture": architecture})
        yield "architecture.checkpoint_blocks=true", meaning, changed, resources
    if config.optimizer.name == "adamw" and resources.sharding != "fsdp":
        optimizer = config.optimizer.model_copy(update={"name": "adamw_8bit"})
        meaning = "the optimiser's state is rounded: another configuration"
        yield "optimizer.name=adamw_8bit", meaning, config.model_copy(update={"optimizer": optimizer}), resources
    if config.budget.precision == "float32":
        budget = config.budget.model_copy(update={"precision": "bfloat16"})
        meaning = "the forward pass is rounded: another configuration"
        yield "budget.precision=bfloat16", meaning, config.model_copy(update={"budget": budget}), resources


def _size_table(sizes: list[Size]) -> Table:
    table = text_table("arms", *HEADERS, "peak in", right=range(1, len(PARTS) + 1))
    for size in sizes:
        parts = size.memory.as_dict()
        table.add_row(
            first_few(size.arms), *(f"{parts[f'{part}_mib']:.1f}" for part in PARTS), size.memory.peak_stage
        )
    return table


def _print_changes(out: Console, changes: list[Change]) -> None:
    """Print what each change saves, and in one line those that save nothing."""
    table = text_table("--set", "total", "saves", "peak in", "and", right=[1, 2])
    useless = []
    for change in changes:
        total, saved = change.memory.total_mib, change.saved_mib
        meaning = change.meaning or "nothing else changes but rounding"
        if saved < MIN_SAVED_MIB:
            useless.append(change.setting)
        else:
            table.add_row(change.setting, f"{total:.1f}", f"{saved:.1f}", change.memory.peak_stage, meaning)
    if table.row_count:
        out.print(table)
    if useless:
        out.print(f"would save nothing: {', '.join(useless)}", markup=False)
