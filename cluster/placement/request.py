"""What a trial requests from Ray, and whether and how often that fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cluster.inventory import ACCELERATOR_PREFIX, GpuGroup, Inventory

DRIVER_MIB = 1280
"""Memory of the processes that start and monitor the workers of a trial: Tune's actor, Ray Train's
controller and four helpers, together 1,022 MiB, as measured with Ray 2.60."""

_PINNED = 0.001
"""Fraction of the marker resource of a GPU kind, of which a node has 1: any fraction pins a trial to the node."""

_NO_LIMIT = 10**6

_SHARE_TOLERANCE = 1e-9  # three shares of 1/3 fill a GPU


class ResourceError(ValueError):
    """A request that no node can grant; the message has the numbers and a proposal."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a trial requests from Ray. Only equal requests reuse Ray's actors."""

    workers: int
    """Processes of one trial. They may be on several nodes."""
    cpu: int
    """Cores of one worker, which is also its number of threads."""
    gpu: float
    """Fraction of one GPU, or 0."""
    memory_mib: int
    """Memory of one worker: of the GPU if `gpu` > 0, otherwise of the node."""
    size_class: int
    """Index of its size among the sweep's sizes, the largest first, from 0."""
    gpu_kind: str | None = None
    """The only kind of GPU it may run on; None: any. A fraction fixes no memory unless the kind of GPU is fixed."""

    @property
    def driver_mib(self) -> int:
        """Host memory in addition to the workers'; a trial with one worker has no separate driver."""
        return DRIVER_MIB if self.workers > 1 else 0

    @property
    def host_memory_mib(self) -> int:
        """Host memory that one trial requests, its driver included."""
        return (0 if self.gpu else self.workers * self.memory_mib) + self.driver_mib

    def num_gpus(self, trials: int) -> int:
        """Return how many GPUs this many concurrent trials take; trials of 2/3 of a GPU each take a whole one."""
        return math.ceil(trials * self.workers / _per_gpu(self.gpu)) if self.gpu else 0

    @property
    def worker_resources(self) -> dict[str, float]:
        """Request of one worker, by Ray's resource names."""
        asked: dict[str, float] = {"CPU": float(self.cpu)}
        if self.gpu:
            asked["GPU"] = self.gpu
        else:
            asked["memory"] = self.memory_mib * 2.0**20
        if self.gpu_kind is not None:
            asked[f"{ACCELERATOR_PREFIX}{self.gpu_kind}"] = _PINNED
        return asked

    @property
    def actor_resources(self) -> dict[str, float]:
        """Request of the actor that Ray Tune starts, by Ray's names: the worker, or the driver of several."""
        return self.worker_resources if self.workers == 1 else {"memory": self.driver_mib * 2.0**20}


def concurrency(request: Request, inventory: Inventory) -> int:
    """Return how many trials run at once; 0 if not even one fits."""
    trials = _room(request, inventory) // request.workers
    if request.workers == 1:
        return trials
    return min(trials, _memory_mib(inventory) // request.host_memory_mib)


def is_limited_by_cores(request: Request, inventory: Inventory) -> bool:
    """Return whether more trials would run at once if there were more cores."""
    machines = [replace(machine, cpus=_NO_LIMIT) for machine in inventory.machines]
    return concurrency(request, replace(inventory, nodes=tuple(machines))) > concurrency(request, inventory)


def _room(request: Request, inventory: Inventory) -> int:
    """Return how many workers fit."""
    return sum(_fit_on(request, machine) for machine in inventory.machines)


def _memory_mib(inventory: Inventory) -> int:
    return sum(machine.memory_mib for machine in inventory.machines)


def _fit_on(request: Request, machine: Inventory) -> int:
    by_cpu = machine.cpus // request.cpu
    if request.gpu > 0:
        return min(by_cpu, sum(gpu.count * _fit_on_gpu(request, gpu) for gpu in machine.gpus))
    return min(by_cpu, machine.memory_mib // request.memory_mib)


def _fit_on_gpu(request: Request, gpu: GpuGroup) -> int:
    if request.gpu_kind not in {None, gpu.kind}:
        return 0
    by_share = _per_gpu(request.gpu)
    return by_share if gpu.free_mib is None else min(by_share, gpu.free_mib // request.memory_mib)


def _per_gpu(share: float) -> int:
    return math.floor(1 / share + _SHARE_TOLERANCE)


def check_fits(request: Request, inventory: Inventory) -> None:
    """Refuse a request that could never be granted: Ray would wait forever.

    Raises:
        ResourceError: With what is requested, what is available, and what to change.
    """
    if concurrency(request, inventory) > 0:
        return
    if room := _room(request, inventory):
        raise ResourceError(_workers_message(request, inventory, room))
    machines = inventory.machines
    place = "the largest machine" if inventory.nodes else "this machine"
    cpus = max((machine.cpus for machine in machines), default=0)
    if request.cpu > cpus:
        raise ResourceError(
            f"needs {_count(request.cpu, 'CPU')} per {_unit(request)}, {place} has {cpus}; "
            f"set resources.cpus_per_trial to at most {max(cpus, 1)}"
        )
    if request.gpu > 0:
        raise ResourceError(_gpu_message(request, inventory, place))
    if all(machine.memory_mib < request.memory_mib for machine in machines):
        free = max(machine.memory_mib for machine in machines)
        raise ResourceError(
            f"needs {request.memory_mib} MiB of memory per {_unit(request)}, {place} has {free} MiB free; "
            "set resources.micro_batch_size lower, choose a smaller --scale, or end other programs"
        )
    raise ResourceError(
        f"needs {_count(request.cpu, 'CPU')} and {request.memory_mib} MiB of memory per {_unit(request)}, and no "
        "machine of the cluster has both; set resources.cpus_per_trial or resources.micro_batch_size lower"
    )


def _gpu_message(request: Request, inventory: Inventory, place: str) -> str:
    if not inventory.gpus:
        return (
            f"needs {request.gpu:g} GPU per {_unit(request)}, {place} has none; "
            "set resources.gpus_per_trial to 0 to run on the CPU"
        )
    free = max(gpu.free_mib or 0 for gpu in inventory.gpus)
    if any(_fit_on_gpu(request, gpu) for gpu in inventory.gpus):
        return (
            f"needs {request.gpu:g} GPU and {_count(request.cpu, 'CPU')} per {_unit(request)}, and no machine of "
            "the cluster has both; set resources.cpus_per_trial lower"
        )
    return (
        f"needs {request.memory_mib} MiB of GPU memory per {_unit(request)}, the freest GPU has {free} MiB "
        "free; "
        "set resources.micro_batch_size lower, or end other programs on the GPU"
    )


def _workers_message(request: Request, inventory: Inventory, room: int) -> str:
    """Return the message for workers that fit one by one, but not enough of them for a trial."""
    place = "the cluster" if inventory.nodes else "this machine"
    if room < request.workers:
        gpu = f"{request.gpu:g} GPU, " if request.gpu else ""
        return (
            f"needs {request.workers} workers per trial, each with {gpu}{_count(request.cpu, 'CPU')} and "
            f"{request.memory_mib} MiB of memory, {place} has room for {room}; "
            f"set resources.workers to at most {room}"
        )
    return (
        f"needs {request.host_memory_mib} MiB of memory per trial, {request.driver_mib} MiB of it to drive its "
        f"{request.workers} workers, {place} has {_memory_mib(inventory)} MiB free; set resources.workers or "
        "resources.micro_batch_size lower"
    )


def _unit(request: Request) -> str:
    return "trial" if request.workers == 1 else "worker"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
