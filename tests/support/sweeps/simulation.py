"""A sweep on GPUs that a ledger plays: the driver's own rules, event by event, without Ray Tune.

The rules under test are the real ones: `size_classes`, `slots` and `oom` of `cluster.placement`.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cluster.inventory import GpuGroup, Inventory
from cluster.placement.oom import Allocation, Fail, OutOfMemory, Retry, decide
from cluster.placement.request import Request
from cluster.placement.size_classes import Packing, SizeClass, pack, with_larger_sizes
from cluster.placement.slots import Slots
from tests.support.machine.ledger import Ask, Death, Job
from trainables.config.resources import ResourceConfig

GIB = 1024
TO_PEAK = 0.1
"""Part of a trial's time after which it has reached its peak."""


def cluster_of(*kinds: tuple[str, int, float]) -> Inventory:
    """Return a cluster with a machine for each (kind of GPU, number, GiB)."""
    machines = [
        Inventory(
            cpus=64 * count,
            memory_mib=10**6,
            gpus=(GpuGroup(kind=kind, memory_mib=int(gib * GIB), free_mib=int(gib * GIB), count=count),),
        )
        for kind, count, gib in kinds
    ]
    return Inventory(
        cpus=sum(machine.cpus for machine in machines),
        memory_mib=sum(machine.memory_mib for machine in machines),
        gpus=tuple(gpu for machine in machines for gpu in machine.gpus),
        nodes=tuple(machines),
    )


def gpus_of(inventory: Inventory) -> list[tuple[str, float]]:
    """Return kind and free memory of each GPU, as a ledger takes them."""
    return [(gpu.kind, float(gpu.free_mib or 0)) for gpu in inventory.gpus for _ in range(gpu.count)]


class Gpus(Protocol):
    """Whoever plays the GPUs: a `tests.support.machine.ledger.Ledger`, here or in another process."""

    def place(self, asks: Sequence[Ask]) -> list[str]:
        """Allocation in order what fits; return whose it is."""

    def grow(self, job: Job, micro_batch_size: int) -> list[str]:
        """Let a trial reach its peak; return who dies of it."""

    def leave(self, name: str) -> float:
        """Take a trial from its GPU; return what it used at its peak."""

    def deaths(self) -> list[Death]:
        """Return every death so far."""


@dataclass
class Outcome:
    """How a simulated sweep went."""

    finished: set[str] = field(default_factory=set)
    given_up: dict[str, str] = field(default_factory=dict)
    deaths: list[Death] = field(default_factory=list)
    makespan_seconds: float = 0.0
    area_seconds: float = 0.0
    """Time that all attempts would take one after another on the whole cluster, each on its part of it."""
    used_mib_seconds: float = 0.0
    """Memory that trials used at their peak, over their time."""
    retries: Counter[str] = field(default_factory=Counter)

    @property
    def num_hurt(self) -> int:
        """Trials that died although they needed no more than they had reserved."""
        return sum(death.was_hurt for death in self.deaths)


@dataclass(frozen=True)
class Rules:
    """Who gets what: the packing, what a trial is given at first, and what follows from an out-of-memory."""

    packing: Packing
    look_ahead: float
    decide: Callable[[Job, Allocation, float], Retry | Fail]

    def first_grant(self, job: Job) -> Allocation:
        """Return what a trial is given at first."""
        size_class = self.packing.class_of(job.name)
        return Allocation(
            size_class=size_class.index, memory_mib=size_class.memory_mib, micro_batch_size=job.batch_size
        )


def contract(jobs: Sequence[Job], inventory: Inventory, *, gpu_limit: int | None = None) -> Rules:
    """Return the rules under test."""
    resources = ResourceConfig(gpus_per_trial="by_memory", max_trials_per_gpu=gpu_limit)
    packing = pack(resources, {job.name: job.estimate_mib for job in jobs}, inventory)
    sizes = with_larger_sizes(packing, resources, inventory)
    sizes_mib = [size_class.memory_mib for size_class in sizes.classes]

    def after(job: Job, had: Allocation, peak_mib: float) -> Retry | Fail:
        return decide(
            OutOfMemory(had=had, peak_mib=peak_mib, suspected=False),
            batch_size=job.batch_size,
            splits=job.splits,
            sizes_mib=sizes_mib,
            place="gpu",
        )

    return Rules(sizes, 2.0, after)


def equal_fractions(jobs: Sequence[Job], inventory: Inventory, number: int) -> Rules:
    """Return what people do by hand: the same share for all, and nobody asks how much memory that is."""
    memory_mib = max(gpu.free_mib or 0 for gpu in inventory.gpus) // number
    asked = Request(workers=1, cpu=1, gpu=1 / number, memory_mib=memory_mib, size_class=0)
    slots = number * sum(gpu.count for gpu in inventory.gpus)
    size = SizeClass(index=0, memory_mib=memory_mib, requests=(asked,), slots=(slots,))
    packing = Packing(classes=(size,), index_of={job.name: 0 for job in jobs}, waste=0.0)
    return Rules(packing, 2.0, lambda job, had, peak_mib: Fail("out of memory"))


def simulate(jobs: Iterable[Job], rules: Rules, gpus: Gpus) -> Outcome:
    """Run all trials to their end, event by event."""
    return _Simulation(list(jobs), rules, gpus).run()


class _Simulation:
    def __init__(self, jobs: Sequence[Job], rules: Rules, gpus: Gpus) -> None:
        self.rules, self.gpus = rules, gpus
        self.jobs = {job.name: job for job in jobs}
        self.grants = {job.name: rules.first_grant(job) for job in jobs}
        self.queue = deque(sorted(self.jobs, key=lambda name: self.grants[name].size_class))
        self.slots = Slots(rules.packing, look_ahead=rules.look_ahead)
        self.waiting: list[tuple[str, Request]] = []
        self.begun: dict[str, float] = {}
        self.attempts: Counter[str] = Counter()
        self.events: list[tuple[float, int, str, str]] = []
        self.now, self.order = 0.0, 0
        self.outcome = Outcome()

    def run(self) -> Outcome:
        self._start()
        while self.events:
            self.now, _, name, what = heapq.heappop(self.events)
            kind, _, attempt = what.partition(" ")
            if name not in self.begun or self.attempts[name] != int(attempt):
                continue  # it died before
            if kind == "peak":
                for dead in self.gpus.grow(self.jobs[name], self.grants[name].micro_batch_size):
                    self._died(dead)
            else:
                self._ends(name)
                self.outcome.finished.add(name)
            self._start()
        assert not self.queue and not self.waiting, "something waits for ever"
        self.outcome.makespan_seconds, self.outcome.deaths = self.now, self.gpus.deaths()
        return self.outcome

    def _start(self) -> None:
        for name in tuple(self.queue):
            if self.slots.is_full:
                break
            size_class = self.grants[name].size_class
            if self.slots.has_room(size_class):
                self.queue.remove(name)
                self.waiting.append((name, self.slots.acquire(name, size_class)))
        asks = [Ask(name, request.gpu, request.gpu_kind, request.memory_mib) for name, request in self.waiting]
        granted = self.gpus.place(asks)
        self.waiting = [(name, request) for name, request in self.waiting if name not in granted]
        for name in granted:
            self.begun[name] = self.now
            self.attempts[name] += 1
            self._schedule(name, "peak", TO_PEAK * self.jobs[name].seconds)
            self._schedule(name, "end", self.jobs[name].seconds)

    def _schedule(self, name: str, what: str, seconds: float) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.now + seconds, self.order, name, f"{what} {self.attempts[name]}"))

    def _ends(self, name: str) -> None:
        used_mib = self.gpus.leave(name)
        self.slots.release(name)
        grant = self.grants[name]
        seconds = self.now - self.begun.pop(name)
        self.outcome.area_seconds += seconds / self.rules.packing.classes[grant.size_class].concurrency
        self.outcome.used_mib_seconds += seconds * min(used_mib, grant.memory_mib)

    def _died(self, name: str) -> None:
        had = self.grants[name]
        self._ends(name)
        decision = self.rules.decide(self.jobs[name], had, had.memory_mib)
        if isinstance(decision, Fail):
            self.outcome.given_up[name] = decision.message
            return
        self.outcome.retries[decision.reason.split()[0]] += 1
        self.grants[name] = decision.allocation
        self.queue.append(name)


def mixed_jobs(count: int, seed: int, *, largest_gib: float = 60.0) -> list[Job]:
    """Return trials of many sizes, log-uniform from 1 GiB, of which a quarter must not be split."""
    rng = random.Random(seed)
    return [
        Job(
            f"trial {index}",
            estimate_mib=GIB * math.exp(rng.uniform(0, math.log(largest_gib))),
            seconds=rng.uniform(100, 300),
            splits=rng.random() > 0.25,
        )
        for index in range(count)
    ]
