"""From estimates to one request, and whether and how often it fits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cluster.inventory import Card, Inventory
from cluster.memory import MemoryEstimate
from trainables.config import ResourceConfig

HEADROOM = 0.10
"""Asked for beyond the estimate, as a fraction: what allocators waste and estimates miss."""

STEP_MIB = 256
"""Requests are whole multiples of this."""

_SHARE_TOLERANCE = 1e-9  # three shares of 1/3 fill a card


class ResourceError(ValueError):
    """A request that no machine can grant; the message has the numbers and a proposal."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What each trial of a sweep asks of Ray. Equal for all of them, so that Ray reuses its actors."""

    workers: int
    """Processes of one trial."""
    cpu: int
    """Cores of one worker, and so its threads."""
    gpu: float
    """Share of one card, or 0."""
    memory_mib: int
    """Memory of one worker: of the card if `gpu` > 0, else of the machine."""
    size_class: int
    """Which of the sweep's requests this is, the largest first, from 0."""


def request_for(resources: ResourceConfig, estimates: Iterable[MemoryEstimate]) -> Request:
    """Return the one request that every configuration of a sweep fits into.

    Args:
        resources: What the study asks for.
        estimates: One per configuration.

    Raises:
        ValueError: If there is no estimate.
    """
    totals = [estimate.total_mib for estimate in estimates]
    if not totals:
        raise ValueError("a request needs at least one estimate, got none")
    return Request(
        workers=1,
        cpu=resources.cpus_per_trial,
        gpu=resources.gpus_per_trial,
        memory_mib=math.ceil(max(totals) * (1 + HEADROOM) / STEP_MIB) * STEP_MIB,
        size_class=0,
    )


def concurrency(request: Request, inventory: Inventory) -> int:
    """Return how many trials run at once; 0 if not even one fits."""
    return sum(_fit_on(request, machine) for machine in inventory.machines)


def _fit_on(request: Request, machine: Inventory) -> int:
    by_cpu = machine.cpus // request.cpu
    if request.gpu > 0:
        return min(by_cpu, sum(card.count * _fit_on_card(request, card) for card in machine.gpus))
    return min(by_cpu, machine.memory_mib // request.memory_mib)


def _fit_on_card(request: Request, card: Card) -> int:
    by_share = math.floor(1 / request.gpu + _SHARE_TOLERANCE)
    return by_share if card.free_mib is None else min(by_share, card.free_mib // request.memory_mib)


def check_fits(request: Request, inventory: Inventory) -> None:
    """Refuse a request that could never be granted: Ray would wait for ever.

    Raises:
        ResourceError: With what is asked, what there is, and what to change.
    """
    if concurrency(request, inventory) > 0:
        return
    machines = inventory.machines
    place = "the largest machine" if inventory.nodes else "this machine"
    cpus = max((machine.cpus for machine in machines), default=0)
    if request.cpu > cpus:
        raise ResourceError(
            f"needs {_count(request.cpu, 'CPU')} per trial, {place} has {cpus}; "
            f"set resources.cpus_per_trial to at most {max(cpus, 1)}"
        )
    if request.gpu > 0:
        raise ResourceError(_gpu_message(request, inventory, place))
    if all(machine.memory_mib < request.memory_mib for machine in machines):
        free = max(machine.memory_mib for machine in machines)
        raise ResourceError(
            f"needs {request.memory_mib} MiB of memory per trial, {place} has {free} MiB free; "
            "set resources.micro_batch_size lower, choose a smaller --scale, or end other programs"
        )
    raise ResourceError(
        f"needs {_count(request.cpu, 'CPU')} and {request.memory_mib} MiB of memory per trial, and no machine "
        "of the cluster has both; set resources.cpus_per_trial or resources.micro_batch_size lower"
    )


def _gpu_message(request: Request, inventory: Inventory, place: str) -> str:
    if not inventory.gpus:
        return (
            f"needs {request.gpu:g} GPU per trial, {place} has none; "
            "set resources.gpus_per_trial to 0 to run on the CPU"
        )
    free = max(card.free_mib or 0 for card in inventory.gpus)
    if any(_fit_on_card(request, card) for card in inventory.gpus):
        return (
            f"needs {request.gpu:g} GPU and {_count(request.cpu, 'CPU')} per trial, and no machine of the cluster "
            "has both; set resources.cpus_per_trial lower"
        )
    return (
        f"needs {request.memory_mib} MiB of card memory per trial, the freest card has {free} MiB free; "
        "set resources.micro_batch_size lower, or end other programs on the card"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
