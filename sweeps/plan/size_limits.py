"""Refuses sizes that no machine can hold, by arithmetic, before data are read and before a model is built.

The bounds are crude on purpose: what passes them is sized exactly later, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cluster.inventory import Inventory
from cluster.placement.request import ResourceError
from cluster.placement.size_classes import pack
from sweeps.errors import UserError
from sweeps.fields import flatten
from sweeps.plan.dependencies import trained_arms
from sweeps.studies.study import Arm, Study
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig
from trainables.layers.fields import NULL_DRAWS

MAX_REPEATED = 1_000
"""Most layers, blocks or steps of integration: each is built or run separately."""
MAX_SYNTHETIC_BYTES = 200_000_000
"""Of the corpus `synthetic`, which is generated on demand."""
MAX_COUNT = 100_000_000
"""Largest whole number that counts anything: steps, sequences, tokens, symbols. No run gets that far."""
MEMORY_MARGIN = 10
"""The bounds are crude: only sizes beyond so many times the memory of the largest machine are refused."""
UNKNOWN_MACHINE_MIB = 2**26
"""Memory of the largest machine where the inventory is unknown: 64 TiB."""

_FLOAT, _TOKEN = 4, 8
_BYTES_OF_TRAINING = {"adamw": 4 * _FLOAT, "adamw_8bit": 2 * _FLOAT + 2}
"""Of a parameter: itself, its gradient and the optimiser's state."""
_GIB = 2**30


class _Dims(NamedTuple):
    """Dimensions on which the size of one more layer or block depends."""

    width: float
    heads: float
    length: float


_MinBytes = Callable[[float, _Dims], float]


def _vectors(count: float, dims: _Dims) -> float:
    return _FLOAT * count * dims.width


def _matrices(multiplier: float, dims: _Dims) -> float:
    return _FLOAT * multiplier * dims.width**2


def _examples(count: float, dims: _Dims) -> float:
    return _TOKEN * count * dims.length


def _activations(count: float, dims: _Dims) -> float:
    return _FLOAT * count * dims.length * dims.width


_MIN_BYTES: dict[str, _MinBytes] = {
    "architecture.d_model": lambda count, dims: _FLOAT * count * count,
    "architecture.ffn_multiplier": _matrices,
    "architecture.state_multiplier": _matrices,
    "architecture.num_heads": _vectors,
    "architecture.parameter_budget": lambda count, dims: _FLOAT * count,
    "architecture.num_oscillators": lambda count, dims: MEMORY_MARGIN * _FLOAT * NULL_DRAWS * count * dims.heads,
    "architecture.pool_width": _vectors,
    "architecture.memory_size": _vectors,
    "architecture.plm.grid_x": _vectors,
    "architecture.plm.grid_y": _vectors,
    "architecture.ridge.max_pairs": _vectors,
    "architecture.infonce.negatives": _vectors,
    "architecture.infonce.dim": _vectors,
    "task.vocab_size": _vectors,
    "task.context_length": _vectors,
    "task.context_chunks": _vectors,
    "task.chunk_length": _vectors,
    "task.needle_length": _vectors,
    "task.evaluation_length": _vectors,
    "task.num_train": _examples,
    "task.num_val": _examples,
    "task.num_test": _examples,
    "task.num_pairs": _vectors,
    "task.num_queries": _vectors,
    "task.num_symbols": _vectors,
    "task.num_facts": _vectors,
    "task.owners_per_example": _vectors,
    "task.delay": _vectors,
    "budget.batch_size": _examples,
    "resources.micro_batch_size": _activations,
}
"""Fields of the library's own classes, and the fewest bytes that a value takes."""

_REPEATED = ("architecture.num_layers", "architecture.num_blocks", "architecture.num_steps")
_NO_COUNT = ("seed", "parameter_budget", "max_bytes")
"""Ends of the names of whole numbers that may be larger than `MAX_COUNT`."""


def check_sizes(study: Study, inventory: Inventory | None = None) -> None:
    """Refuse a study that could not run anywhere.

    Args:
        study: The study.
        inventory: The resources for trials; None: unknown.

    Raises:
        UserError: If there is such a size. The message has the number, and the limit.
    """
    largest_mib = UNKNOWN_MACHINE_MIB
    if inventory is not None:
        _check_request(study, inventory)
        memories = [machine.memory_mib for machine in inventory.machines]
        largest_mib = max([*memories, *(gpu.memory_mib or UNKNOWN_MACHINE_MIB for gpu in inventory.gpus)])
    for arm in trained_arms(study):
        sizes = {**_sizes(arm.config), **flatten(study.resources.model_dump(), "resources.")}
        problems = (
            *_exceeding_memory(sizes, largest_mib),
            *_too_many(sizes),
            *_too_large(arm.config, study.resources, largest_mib),
        )
        for field, problem in problems:
            raise UserError(f"{_place(study, arm, field)}={sizes[field]}: {problem} (arm '{arm.name}')")


def _check_request(study: Study, inventory: Inventory) -> None:
    """Refuse cores that no machine has, and GPUs where there are none."""
    asked = study.resources
    if asked.cpus_per_trial > max(machine.cpus for machine in inventory.machines):
        field = "cpus_per_trial"
    elif asked.gpus_per_trial and not inventory.gpus:
        field = "gpus_per_trial"
    else:
        return
    try:
        pack(asked, {"": 1.0}, inventory)
    except ResourceError as error:
        place = study.where("resources", field)
        advice = ""
        if field == "gpus_per_trial" and asked.max_trials_per_gpu is not None:  # without GPUs it is refused
            advice = ", with --set resources.gpus_per_trial=0 --set resources.max_trials_per_gpu=null"
        raise UserError(f"{place}: study '{study.name}' at scale '{study.scale}': {error}{advice}") from error


def _place(study: Study, arm: Arm, field: str) -> str:
    section, *rest = field.split(".")
    return study.where(section, *rest, arm=None if section == "resources" else arm.name)


def _sizes(config: TrialConfig) -> dict[str, Any]:
    return flatten(config.model_dump(include={"architecture", "task", "optimizer", "budget"}))


def _exceeding_memory(sizes: dict[str, Any], largest_mib: int) -> Iterator[tuple[str, str]]:
    """Yield the fields whose value alone takes too much memory."""
    dims = _Dims(
        width=_number(sizes, "architecture.d_model"),
        heads=_number(sizes, "architecture.num_heads"),
        length=max(
            _number(sizes, "task.context_length"),
            _number(sizes, "task.context_chunks") * _number(sizes, "task.chunk_length"),
        ),
    )
    for field, min_bytes in _MIN_BYTES.items():
        gib = min_bytes(_number(sizes, field), dims) / _GIB
        if gib > MEMORY_MARGIN * largest_mib / 1024:
            taken = f"{gib:.0f}" if gib < _GIB else f"{gib:.0e}"
            yield (
                field,
                f"takes more than {taken} GiB, and the largest machine has {largest_mib / 1024:.0f} GiB; "
                "choose a smaller number",
            )


def _too_large(config: TrialConfig, resources: ResourceConfig, largest_mib: int) -> Iterator[tuple[str, str]]:
    """Yield the model's width if its parameters alone take too much memory in training: here nothing is crude."""
    if not config.budget.steps:
        return
    each = _BYTES_OF_TRAINING[config.optimizer.name]
    shards = resources.workers if resources.sharding == "fsdp" else 1
    gib = config.architecture.min_trained_parameters * each / (shards * _GIB)
    if gib > largest_mib / 1024:
        yield (
            "architecture.d_model",
            f"training its parameters takes more than {gib:.3g} GiB, and the largest machine has "
            f"{largest_mib / 1024:.0f} GiB; choose a smaller model",
        )


def _too_many(sizes: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields whose value takes too much time."""
    for field in _REPEATED:
        if _number(sizes, field) > MAX_REPEATED:
            yield field, f"at most {MAX_REPEATED} are built, one after another; choose a smaller number"
    is_synthetic = str(sizes.get("task.corpus")).startswith("synthetic")
    if is_synthetic and _number(sizes, "task.max_bytes") > MAX_SYNTHETIC_BYTES:
        yield "task.max_bytes", f"at most {MAX_SYNTHETIC_BYTES} of the synthetic corpus are made; choose fewer"
    for field, value in sizes.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if not field.endswith(_NO_COUNT) and any(type(n) is int and n > MAX_COUNT for n in numbers):
            yield field, f"at most {MAX_COUNT} is possible; choose a smaller number"


def _number(sizes: dict[str, Any], field: str) -> float:
    """Return the value of a size; 1 where a configuration does not have it, or has None."""
    value = sizes.get(field)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 1
