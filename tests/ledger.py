"""A ledger that plays the cards of a cluster, and the driver's own rules run against it.

The ledger is independent: it draws what each trial truly needs by itself, around the estimate and now and then
far beyond it, enforces caps if they are on, and records every death. It knows nothing of size classes or decisions.
The rules under test are the real ones: `cluster.packing`, `cluster.slots` and `cluster.guard`. Ray's part is played
after its documented behaviour: a trial starts on a card of its kind on which its share is free.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cluster.guard import GiveUp, Grant, Retry, Shortage, decide
from cluster.inventory import Card, Inventory
from cluster.packing import Packing, SizeClass, pack, with_larger_sizes
from cluster.requests import Request
from cluster.slots import Slots
from trainables.config import ResourceConfig

GIB = 1024
CONTEXT_MIB = 600.0
SPREAD, OUTLIERS, OUTLIER_FACTOR = 0.15, 0.01, 2.0
OF_ACTIVATIONS = 0.6
"""Part of a trial's memory that shrinks with its micro-batch."""
TO_PEAK = 0.1
"""Part of a trial's time after which it has reached its peak."""


def cluster_of(*kinds: tuple[str, int, float]) -> Inventory:
    """Return a cluster with a machine for each (kind of card, number, GiB)."""
    machines = [
        Inventory(
            cpus=64 * count,
            memory_mib=10**6,
            gpus=(Card(kind=kind, memory_mib=int(gib * GIB), free_mib=int(gib * GIB), count=count),),
        )
        for kind, count, gib in kinds
    ]
    return Inventory(
        cpus=sum(machine.cpus for machine in machines),
        memory_mib=sum(machine.memory_mib for machine in machines),
        gpus=tuple(card for machine in machines for card in machine.gpus),
        nodes=tuple(machines),
    )


@dataclass(frozen=True)
class Job:
    """A trial as the driver knows it."""

    name: str
    estimate_mib: float
    seconds: float
    batch_size: int = 8
    splits: bool = True


@dataclass
class _PlayedCard:
    kind: str
    capacity_mib: float
    shares: dict[str, float] = field(default_factory=dict)
    used_mib: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Death:
    """The end of a trial for want of memory."""

    name: str
    was_hurt: bool
    """Whether it needed no more than it had reserved: somebody else took its memory."""


class Ledger:
    """Plays the cards.

    Args:
        inventory: Which cards there are.
        seed: Of all that it draws.
        caps: Whether a trial can use no more than it has reserved.
    """

    def __init__(self, inventory: Inventory, seed: int, *, caps: bool) -> None:
        self._rng = random.Random(seed)
        self._caps = caps
        self._cards = [
            _PlayedCard(card.kind, float(card.free_mib or 0)) for card in inventory.gpus for _ in range(card.count)
        ]
        self._factors: dict[str, float] = {}
        self.deaths: list[Death] = []

    def demand_mib(self, job: Job, micro_batch_size: int) -> float:
        """Return what a trial truly needs with this micro-batch; drawn once for each trial."""
        if job.name not in self._factors:
            outlier = OUTLIER_FACTOR if self._rng.random() < OUTLIERS else 1.0
            self._factors[job.name] = self._rng.lognormvariate(0.0, SPREAD) * outlier
        part = 1 - OF_ACTIVATIONS + OF_ACTIVATIONS * micro_batch_size / job.batch_size
        return CONTEXT_MIB + (job.estimate_mib - CONTEXT_MIB) * self._factors[job.name] * part

    def place(self, name: str, request: Request) -> bool:
        """Grant a request if a card of its kind has the share free, as Ray does; the fullest such card."""
        fitting = [
            card
            for card in self._cards
            if request.card in {None, card.kind} and sum(card.shares.values()) + request.gpu <= 1 + 1e-9
        ]
        if not fitting:
            return False
        max(fitting, key=lambda card: sum(card.shares.values())).shares[name] = request.gpu
        return True

    def grow(self, job: Job, micro_batch_size: int, reserved_mib: float) -> list[str]:
        """Let a trial reach its peak; return who dies of it."""
        card = self._card_of(job.name)
        demand = self.demand_mib(job, micro_batch_size)
        if self._caps and demand > reserved_mib:
            self.deaths.append(Death(job.name, was_hurt=False))
            return [job.name]
        card.used_mib[job.name] = demand
        if sum(card.used_mib.values()) <= card.capacity_mib:
            return []
        dead = list(card.used_mib)  # as it happened: all that were at work on the card were lost
        self.deaths += [Death(name, was_hurt=name != job.name or demand <= reserved_mib) for name in dead]
        return dead

    def leave(self, name: str) -> None:
        """Take a trial from its card."""
        card = self._card_of(name)
        del card.shares[name]
        card.used_mib.pop(name, None)

    def _card_of(self, name: str) -> _PlayedCard:
        return next(card for card in self._cards if name in card.shares)


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
    decide: Callable[[Job, Grant, float], Retry | GiveUp]

    def first_grant(self, job: Job) -> Grant:
        """Return what a trial is given at first."""
        size_class = self.packing.class_of(job.name)
        return Grant(size_class=size_class.index, memory_mib=size_class.memory_mib, micro_batch_size=job.batch_size)


def contract(jobs: Sequence[Job], inventory: Inventory, *, card_limit: int | None = None) -> Rules:
    """Return the rules under test."""
    resources = ResourceConfig(gpus_per_trial="by_memory", max_trials_per_gpu=card_limit)
    packing = pack(resources, {job.name: job.estimate_mib for job in jobs}, inventory)
    sizes = with_larger_sizes(packing, resources, inventory)
    sizes_mib = [size_class.memory_mib for size_class in sizes.classes]

    def after(job: Job, had: Grant, peak_mib: float) -> Retry | GiveUp:
        return decide(
            Shortage(had=had, peak_mib=peak_mib, suspected=False),
            batch_size=job.batch_size,
            splits=job.splits,
            sizes_mib=sizes_mib,
            place="card",
        )

    return Rules(sizes, 2.0, after)


def equal_fractions(jobs: Sequence[Job], inventory: Inventory, number: int) -> Rules:
    """Return what people do by hand: the same share for all, and nobody asks how much memory that is."""
    memory_mib = max(card.free_mib or 0 for card in inventory.gpus) // number
    asked = Request(workers=1, cpu=1, gpu=1 / number, memory_mib=memory_mib, size_class=0)
    slots = number * sum(card.count for card in inventory.gpus)
    size = SizeClass(index=0, memory_mib=memory_mib, requests=(asked,), slots=(slots,))
    packing = Packing(classes=(size,), index_of={job.name: 0 for job in jobs}, waste=0.0)
    return Rules(packing, 2.0, lambda job, had, peak_mib: GiveUp("out of memory"))


def simulate(jobs: Iterable[Job], inventory: Inventory, rules: Rules, ledger: Ledger) -> Outcome:
    """Run all trials to their end, event by event."""
    return _Simulation(list(jobs), rules, ledger).run()


class _Simulation:
    def __init__(self, jobs: Sequence[Job], rules: Rules, ledger: Ledger) -> None:
        self.rules, self.ledger = rules, ledger
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
                grant = self.grants[name]
                for dead in self.ledger.grow(self.jobs[name], grant.micro_batch_size, grant.memory_mib):
                    self._died(dead)
            else:
                self._ends(name)
                self.outcome.finished.add(name)
            self._start()
        assert not self.queue and not self.waiting, "something waits for ever"
        self.outcome.makespan_seconds, self.outcome.deaths = self.now, self.ledger.deaths
        return self.outcome

    def _start(self) -> None:
        for name in tuple(self.queue):
            if self.slots.is_full:
                break
            size_class = self.grants[name].size_class
            if self.slots.has_room(size_class):
                self.queue.remove(name)
                self.waiting.append((name, self.slots.take(name, size_class)))
        for name, request in tuple(self.waiting):
            if self.ledger.place(name, request):
                self.waiting.remove((name, request))
                self.begun[name] = self.now
                self.attempts[name] += 1
                self._schedule(name, "peak", TO_PEAK * self.jobs[name].seconds)
                self._schedule(name, "end", self.jobs[name].seconds)

    def _schedule(self, name: str, what: str, seconds: float) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.now + seconds, self.order, name, f"{what} {self.attempts[name]}"))

    def _ends(self, name: str) -> None:
        self.ledger.leave(name)
        self.slots.give_back(name)
        grant = self.grants[name]
        seconds = self.now - self.begun.pop(name)
        self.outcome.area_seconds += seconds / self.rules.packing.classes[grant.size_class].concurrency
        used_mib = min(self.ledger.demand_mib(self.jobs[name], grant.micro_batch_size), grant.memory_mib)
        self.outcome.used_mib_seconds += seconds * used_mib

    def _died(self, name: str) -> None:
        had = self.grants[name]
        self._ends(name)
        decision = self.rules.decide(self.jobs[name], had, had.memory_mib)
        if isinstance(decision, GiveUp):
            self.outcome.given_up[name] = decision.message
            return
        self.outcome.retries[decision.reason.split()[0]] += 1
        self.grants[name] = decision.grant
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
