"""From memory estimates to requests: a few size classes, so that memory is well used and workers are reused.

Ray Tune reuses a worker only for an equal request, so an individual request for each trial would cost a new process
each. One request for all wastes memory if trials differ. The compromise: the fewest sizes that waste at most
`MAX_WASTE`, and at most `MAX_CLASSES` of them.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.inventory import GpuGroup, Inventory
from cluster.placement.oom import sizes_to_grow_into
from cluster.placement.request import Request, ResourceError, check_fits, concurrency
from trainables.config.resources import BY_MEMORY, ResourceConfig

HEADROOM = 0.10
"""Requested in addition to the estimate, as a fraction: what allocators waste and estimates miss."""

STEP_MIB = 256
"""Sizes are whole multiples of this."""

MAX_CLASSES = 8
MAX_WASTE = 0.15
"""Memory requested beyond what each trial needs, headroom included, as a fraction of what all of them need."""

_SHARE_STEPS = 10_000
"""Ray counts fractions of GPUs in steps of 1/10,000."""


@dataclass(frozen=True, kw_only=True)
class SizeClass:
    """Trials that request the same amount of memory."""

    index: int
    """0 is the largest."""
    memory_mib: int
    """Memory limit of one worker of such a trial, process or context included."""
    requests: tuple[Request, ...]
    """Its possible requests: one for each kind of GPU that it fits on, or a single one on CPUs."""
    slots: tuple[int, ...]
    """How many such trials run at once, for each request, if nothing else runs."""

    @property
    def concurrency(self) -> int:
        """How many such trials run at once if nothing else runs."""
        return sum(self.slots)


@dataclass(frozen=True, kw_only=True)
class Packing:
    """The size classes of a sweep, and the class of each configuration."""

    classes: tuple[SizeClass, ...]
    """The largest first."""
    index_of: Mapping[str, int]
    """Name of a configuration -> its class."""
    waste: float
    """Memory requested beyond the needs, as a fraction of them."""

    def class_of(self, name: str) -> SizeClass:
        """Return the class of a configuration."""
        return self.classes[self.index_of[name]]


def with_larger_sizes(packing: Packing, resources: ResourceConfig, inventory: Inventory) -> Packing:
    """Return a packing with larger classes before the existing ones, for trials that turn out to need more.

    None are added if each trial has a fixed fraction of a GPU, or several nodes may hold its workers.
    """
    sizes = [one.memory_mib for one in packing.classes]
    grown = sizes_to_grow_into(sizes, _largest_mib(packing.classes[0], resources, inventory))
    num_larger = len(grown) - len(sizes)
    return Packing(
        classes=tuple(_size_class(resources, index, size, inventory) for index, size in enumerate(grown)),
        index_of={name: index + num_larger for name, index in packing.index_of.items()},
        waste=packing.waste,
    )


def _largest_mib(size_class: SizeClass, resources: ResourceConfig, inventory: Inventory) -> int:
    """Return the most that one worker can get: the memory of the freest GPU, or of the largest node."""
    if resources.gpus_per_trial == BY_MEMORY:
        return max(gpu.free_mib or 0 for gpu in inventory.gpus)
    if resources.gpus_per_trial or resources.workers > 1:
        return size_class.memory_mib
    return max(machine.memory_mib for machine in inventory.machines if machine.cpus >= resources.cpus_per_trial)


def with_headroom(need_mib: float) -> int:
    """Return the memory to request if `need_mib` are expected."""
    return math.ceil(need_mib * (1 + HEADROOM) / STEP_MIB) * STEP_MIB


def size_classes(sizes_mib: Iterable[int]) -> tuple[int, ...]:
    """Return the fewest sizes, the largest first, to which all of `sizes_mib` can be rounded up within
    `MAX_WASTE`, or the best `MAX_CLASSES`.

    Args:
        sizes_mib: Individual request of each configuration.

    Raises:
        ValueError: If there is none.
    """
    counts = Counter(sizes_mib)
    sizes = sorted(counts)
    if not sizes:
        raise ValueError("size classes need at least one size, got none")
    needed = sum(size * count for size, count in counts.items())
    for number in range(1, min(MAX_CLASSES, len(sizes)) + 1):
        chosen, asked = _cheapest(sizes, [counts[size] for size in sizes], number)
        if asked - needed <= MAX_WASTE * needed:
            break
    return tuple(reversed(chosen))


def _cheapest(sizes: Sequence[int], counts: Sequence[int], number: int) -> tuple[list[int], int]:
    """Return the `number` of `sizes` (ascending) that cost least, and the total memory requested with them."""
    up_to = [0]
    for count in counts:
        up_to.append(up_to[-1] + count)
    # best[j]: the cheapest way to serve the first j sizes, the j-th being the last one chosen
    best: dict[int, tuple[int, list[int]]] = {0: (0, [])}
    for _ in range(number):
        best = {
            j: min(
                (cost + (up_to[j] - up_to[i]) * sizes[j - 1], [*chosen, sizes[j - 1]])
                for i, (cost, chosen) in best.items()
                if i < j
            )
            for j in range(min(best) + 1, len(sizes) + 1)
        }
    cost, chosen = best[len(sizes)]
    return chosen, cost


def pack(resources: ResourceConfig, needs_mib: Mapping[str, float], inventory: Inventory) -> Packing:
    """Sort configurations into size classes and make their requests.

    Args:
        resources: Resources that the study sets for a trial.
        needs_mib: Name of each configuration -> memory that one of its workers needs, without headroom.
        inventory: What is available.

    Raises:
        ResourceError: If the largest class fits nowhere: then the sweep could not be completed.
    """
    sizes = {name: with_headroom(need) for name, need in needs_mib.items()}
    chosen = size_classes(sizes.values())
    ascending = chosen[::-1]
    index_of = {name: len(chosen) - 1 - bisect.bisect_left(ascending, size) for name, size in sizes.items()}
    classes = tuple(_size_class(resources, index, memory, inventory) for index, memory in enumerate(chosen))
    needed = sum(sizes.values())
    asked = sum(chosen[index] for index in index_of.values())
    return Packing(classes=classes, index_of=index_of, waste=asked / needed - 1)


def _size_class(resources: ResourceConfig, index: int, memory_mib: int, inventory: Inventory) -> SizeClass:
    memory_mib = max(memory_mib, _of_fixed_share(resources, inventory))
    requests = _requests(resources, index, memory_mib, inventory)
    fitting = [(request, slots) for request in requests if (slots := concurrency(request, inventory))]
    if not fitting:
        check_fits(requests[0], inventory)
    return SizeClass(
        index=index,
        memory_mib=memory_mib,
        requests=tuple(request for request, _ in fitting),
        slots=tuple(slots for _, slots in fitting),
    )


def _of_fixed_share(resources: ResourceConfig, inventory: Inventory) -> int:
    """Return the memory of a trial's fixed fraction of a GPU; 0 if the fraction is not fixed."""
    share = resources.gpus_per_trial
    if share == BY_MEMORY or not share:
        return 0
    return math.floor(share * min((gpu.free_mib or 0 for gpu in inventory.gpus), default=0))


def _requests(resources: ResourceConfig, index: int, memory_mib: int, inventory: Inventory) -> tuple[Request, ...]:
    def request(gpu: float, kind: str | None = None) -> Request:
        return Request(
            workers=resources.workers,
            cpu=resources.cpus_per_trial,
            gpu=gpu,
            memory_mib=memory_mib,
            size_class=index,
            gpu_kind=kind,
        )

    if resources.gpus_per_trial == 0:
        return (request(0.0),)
    if resources.gpus_per_trial != BY_MEMORY:
        return (request(_wide_enough(resources.gpus_per_trial, memory_mib, inventory)),)
    gpus = _fullest_of_each_kind(inventory)
    if not gpus:
        return (request(1.0),)
    # Ray distinguishes kinds by node only. If a node mixes them, a fraction is one of the smallest GPU.
    are_told_apart = all(len({gpu.kind for gpu in machine.gpus}) <= 1 for machine in inventory.machines)
    if not are_told_apart or len(gpus) == 1:
        return (request(_share(memory_mib, gpus[-1], resources.max_trials_per_gpu)),)
    return tuple(request(_share(memory_mib, gpu, resources.max_trials_per_gpu), gpu.kind) for gpu in gpus)


def _wide_enough(share: float, memory_mib: int, inventory: Inventory) -> float:
    """Return `share`, or more if that fraction of the fullest GPU's memory is too little: co-located trials would
    make each other run out of memory.
    """
    known = [gpu for gpu in inventory.gpus if gpu.free_mib]
    if not known:
        return share
    fullest = min(known, key=lambda gpu: gpu.free_mib or 0)
    return share if memory_mib <= share * (fullest.free_mib or 0) else _share(memory_mib, fullest, None)


def _fullest_of_each_kind(inventory: Inventory) -> list[GpuGroup]:
    """Return for each kind of GPU the one with least free memory; the kind with the most free memory first.

    Raises:
        ResourceError: If the memory of a GPU is not known.
    """
    kinds: dict[str, GpuGroup] = {}
    for gpu in inventory.gpus:
        if gpu.free_mib is None:
            raise ResourceError(
                f"gpus_per_trial={BY_MEMORY} needs the memory of each GPU, and that of '{gpu.kind}' is not "
                "known; set resources.gpus_per_trial to a share"
            )
        known = kinds.get(gpu.kind)
        if known is None or (known.free_mib or 0) > gpu.free_mib:
            kinds[gpu.kind] = gpu
    return sorted(kinds.values(), key=lambda gpu: gpu.free_mib or 0, reverse=True)


def _share(memory_mib: int, gpu: GpuGroup, max_trials: int | None) -> float:
    """Return the fraction of `gpu` that a trial takes: by its memory, or more if `max_trials` requires it."""
    of_memory = math.ceil(_SHARE_STEPS * memory_mib / max(1, gpu.free_mib or 0))
    of_number = _SHARE_STEPS // max_trials if max_trials else 0
    return min(_SHARE_STEPS, max(of_memory, of_number)) / _SHARE_STEPS
