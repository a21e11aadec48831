"""What a trial asks of Ray, and whether and how often that fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cluster.inventory import ACCELERATOR_PREFIX, Card, Inventory

DRIVER_MIB = 1280
"""Memory of the processes that start the workers of a trial and listen to them: Tune's actor, Ray Train's
controller and four helpers, 1,022 MiB of their own together, as measured with Ray 2.60."""

_PINNED = 0.001
"""Of the mark of a kind of GPU, of which a machine has 1: any part of it sends a trial there."""

_NO_LIMIT = 10**6

_SHARE_TOLERANCE = 1e-9  # three shares of 1/3 fill a GPU


class ResourceError(ValueError):
    """A request that no machine can grant; the message has the numbers and a proposal."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a trial asks of Ray. Equal requests, and only those, reuse Ray's actors."""

    workers: int
    """Processes of one trial. They may be on several machines."""
    cpu: int
    """Cores of one worker, and so its threads."""
    gpu: float
    """Share of one GPU, or 0."""
    memory_mib: int
    """Memory of one worker: of the GPU if `gpu` > 0, else of the machine."""
    size_class: int
    """Which of the sweep's sizes this is, the largest first, from 0."""
    card: str | None = None
    """The only kind of GPU it may run on; None: any. A share says nothing without the memory of its GPU."""

    @property
    def driver_mib(self) -> int:
        """Memory of the machine beside that of the workers; a single worker needs nobody to drive it."""
        return DRIVER_MIB if self.workers > 1 else 0

    @property
    def host_memory_mib(self) -> int:
        """Memory of machines that one trial asks for, whatever drives it included."""
        return (0 if self.gpu else self.workers * self.memory_mib) + self.driver_mib

    def cards(self, trials: int) -> int:
        """Return the GPUs that so many trials at once take: of two thirds of a GPU, each takes one."""
        return math.ceil(trials * self.workers / _per_card(self.gpu)) if self.gpu else 0

    @property
    def worker_resources(self) -> dict[str, float]:
        """What one worker asks for, by Ray's names."""
        asked: dict[str, float] = {"CPU": float(self.cpu)}
        if self.gpu:
            asked["GPU"] = self.gpu
        else:
            asked["memory"] = self.memory_mib * 2.0**20
        if self.card is not None:
            asked[f"{ACCELERATOR_PREFIX}{self.card}"] = _PINNED
        return asked

    @property
    def actor_resources(self) -> dict[str, float]:
        """What the process that Ray Tune starts asks for, by Ray's names: it is the worker, or drives several."""
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
    """Return how many workers there is room for."""
    return sum(_fit_on(request, machine) for machine in inventory.machines)


def _memory_mib(inventory: Inventory) -> int:
    return sum(machine.memory_mib for machine in inventory.machines)


def _fit_on(request: Request, machine: Inventory) -> int:
    by_cpu = machine.cpus // request.cpu
    if request.gpu > 0:
        return min(by_cpu, sum(card.count * _fit_on_card(request, card) for card in machine.gpus))
    return min(by_cpu, machine.memory_mib // request.memory_mib)


def _fit_on_card(request: Request, card: Card) -> int:
    if request.card not in {None, card.kind}:
        return 0
    by_share = _per_card(request.gpu)
    return by_share if card.free_mib is None else min(by_share, card.free_mib // request.memory_mib)


def _per_card(share: float) -> int:
    return math.floor(1 / share + _SHARE_TOLERANCE)


def check_fits(request: Request, inventory: Inventory) -> None:
    """Refuse a request that could never be granted: Ray would wait for ever.

    Raises:
        ResourceError: With what is asked, what there is, and what to change.
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
    free = max(card.free_mib or 0 for card in inventory.gpus)
    if any(_fit_on_card(request, card) for card in inventory.gpus):
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
    """Say why workers that fit one by one do not make a trial."""
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
