"""Out-of-memory policy: a smaller micro-batch, more memory, or a failure with a clear message. Decides only.

Every retry says what it changes, and none changes what is compared: the effective batch stays the same, and
the micro-batch is changed only if the gradients do not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Place = Literal["gpu", "machine", "worker"]

_LIMITS: dict[Place, str] = {
    "gpu": "one GPU offers",
    "machine": "one machine offers",
    "worker": "a worker of this study is given",
}


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The resources of one worker of a trial."""

    size_class: int
    """Index of its memory among the possible sizes, the largest first, from 0."""
    memory_mib: int
    micro_batch_size: int
    """Sequences in one forward pass, at most the worker's shard of the batch."""


@dataclass(frozen=True, kw_only=True)
class OutOfMemory:
    """How a trial ran out of memory."""

    had: Allocation
    peak_mib: float | None
    """Measured, process or context included; the allocation that failed is not included."""
    suspected: bool
    """Whether the only evidence of a lack of memory is that the peak was close to the limit."""


@dataclass(frozen=True)
class Retry:
    """Run it again, in a fresh process, from the last checkpoint."""

    allocation: Allocation
    reason: str
    """What is changed, and what that means for the result."""


@dataclass(frozen=True)
class Fail:
    """Do not run it again."""

    message: str
    """What was needed, what is available, and what to change."""


def sizes_to_grow_into(classes_mib: Sequence[int], largest_mib: int) -> tuple[int, ...]:
    """Return the sizes that a trial may get: a sweep's classes, and doublings of the largest up to the limit.

    Args:
        classes_mib: Memory of the sweep's size classes, the largest first.
        largest_mib: The most that one worker can get: the memory of the freest GPU, or of the largest node.

    Returns:
        The largest first.
    """
    spare: list[int] = []
    size_mib = classes_mib[0]
    while size_mib < largest_mib:
        size_mib = min(2 * size_mib, largest_mib)
        spare.append(size_mib)
    return (*reversed(spare), *classes_mib)


def decide(
    out_of_memory: OutOfMemory,
    *,
    batch_size: int,
    splits: bool,
    sizes_mib: Sequence[int],
    place: Place,
    was_suspected: bool = False,
) -> Retry | Fail:
    """Return what to do with a replicate that ran out of memory.

    Args:
        out_of_memory: What happened.
        batch_size: Sequences of one worker's shard of an optimiser step. It is never changed.
        splits: Whether the gradients are equal however the batch is split, for both architecture and task.
        sizes_mib: What a worker can get, the largest first; indexed by `Allocation.size_class`.
        place: What has the memory; `worker` if a trial has several of them.
        was_suspected: Whether this replicate was already retried on suspicion.
    """
    had = out_of_memory.had
    if out_of_memory.suspected and was_suspected:
        return Fail(
            f"failed again near its memory limit ({_used(out_of_memory)}): more memory did not help, so look "
            "for the cause in log.txt; resume --oom tries again"
        )
    if splits and had.micro_batch_size > 1 and not out_of_memory.suspected:
        return _with_smaller_micro_batch(had, batch_size)
    if had.size_class > 0:
        return _with_more_memory(out_of_memory, sizes_mib[had.size_class - 1], splits=splits)
    return Fail(_too_large(out_of_memory, splits=splits, place=place))


def _with_smaller_micro_batch(had: Allocation, batch_size: int) -> Retry:
    before, now = had.micro_batch_size, math.ceil(had.micro_batch_size / 2)
    passes = f"{math.ceil(batch_size / now)} instead of {math.ceil(batch_size / before)} forward passes"
    return Retry(
        replace(had, micro_batch_size=now),
        f"micro_batch_size {before} -> {now} (gradients accumulated over {passes}; equal within rounding)",
    )


def _with_more_memory(out_of_memory: OutOfMemory, memory_mib: int, *, splits: bool) -> Retry:
    had = out_of_memory.had
    if out_of_memory.suspected:
        why = f"it failed near its limit, {_used(out_of_memory)}"
    elif splits:
        why = "micro_batch_size is 1"
    else:
        why = "its gradients depend on the micro-batch, which stays"
    allocation = replace(had, size_class=had.size_class - 1, memory_mib=memory_mib)
    return Retry(allocation, f"memory {had.memory_mib} -> {memory_mib} MiB ({why}; the result is the same)")


def _too_large(out_of_memory: OutOfMemory, *, splits: bool, place: Place) -> str:
    had = out_of_memory.had
    if splits:
        fix = "choose a smaller --scale or model, a shorter context, or optimizer.name: adamw_8bit"
    else:
        fix = (
            "its gradients depend on the micro-batch, so set resources.micro_batch_size lower for the whole study, "
            "if its plan allows that, or choose a smaller --scale"
        )
    needs = "may need" if out_of_memory.suspected else "needs"
    return (
        f"{needs} more than {had.memory_mib} MiB with micro_batch_size={had.micro_batch_size} "
        f"({_used(out_of_memory)}), and that is the most that {_LIMITS[place]}; {fix}"
    )


def _used(out_of_memory: OutOfMemory) -> str:
    had = f"of {out_of_memory.had.memory_mib} MiB"
    return (
        f"an unknown part {had}"
        if out_of_memory.peak_mib is None
        else f"it used {out_of_memory.peak_mib:.0f} {had}"
    )
