"""A ledger that plays the GPUs of a cluster: it alone knows what each trial truly needs.

It draws the true demands itself, around the estimates and now and then far beyond them, enforces caps if they are
on, and records every death. It imports the standard library only, so that nothing of the code under test can make
it agree; it runs in the process of a test, or as an actor of Ray in a process of its own. A trial starts on a GPU
of its kind on which its share is free, as Ray documents it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

CONTEXT_MIB = 600.0
SPREAD, OUTLIERS, OUTLIER_FACTOR = 0.15, 0.01, 2.0
OF_ACTIVATIONS = 0.6
"""Part of a trial's memory that shrinks with its micro-batch."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Job:
    """A trial as the driver knows it."""

    name: str
    estimate_mib: float
    seconds: float
    batch_size: int = 8
    splits: bool = True


class Ask(NamedTuple):
    """What a trial asks for."""

    name: str
    share: float
    """Of one GPU."""
    kind: str | None
    """Of GPU; None: any."""
    reserved_mib: float
    """What it may use, if caps are on."""


class Death(NamedTuple):
    """The end of a trial for want of memory."""

    name: str
    was_hurt: bool
    """Whether somebody else took its memory: it had its peak behind it, or needed no more than it had reserved."""


@dataclass
class _Gpu:
    kind: str
    capacity_mib: float
    asks: dict[str, Ask] = field(default_factory=dict)
    used_mib: dict[str, float] = field(default_factory=dict)

    @property
    def taken(self) -> float:
        return sum(ask.share for ask in self.asks.values())

    def fits(self, ask: Ask) -> bool:
        return ask.kind in {None, self.kind} and self.taken + ask.share <= 1 + _ROUNDING


class Ledger:
    """Plays the GPUs.

    Args:
        gpus: Kind and free memory in MiB of each.
        seed: Of all that it draws.
        caps: Whether a trial can use no more than it has reserved.
    """

    def __init__(self, gpus: Sequence[tuple[str, float]], seed: int, *, caps: bool) -> None:
        self._rng = random.Random(seed)
        self._caps = caps
        self._gpus = [_Gpu(kind, capacity_mib) for kind, capacity_mib in gpus]
        self._factors: dict[str, float] = {}
        self._deaths: list[Death] = []

    def demand_mib(self, job: Job, micro_batch_size: int) -> float:
        """Return what a trial truly needs with this micro-batch; drawn once for each trial."""
        if job.name not in self._factors:
            outlier = OUTLIER_FACTOR if self._rng.random() < OUTLIERS else 1.0
            self._factors[job.name] = self._rng.lognormvariate(0.0, SPREAD) * outlier
        part = 1 - OF_ACTIVATIONS + OF_ACTIVATIONS * micro_batch_size / job.batch_size
        return CONTEXT_MIB + (job.estimate_mib - CONTEXT_MIB) * self._factors[job.name] * part

    def place(self, asks: Iterable[Ask]) -> list[str]:
        """Allocation in order what fits, each on the fullest GPU that has its share free; return whose it is."""
        granted = []
        for ask in asks:
            fitting = [gpu for gpu in self._gpus if gpu.fits(ask)]
            if fitting:
                max(fitting, key=lambda gpu: gpu.taken).asks[ask.name] = ask
                granted.append(ask.name)
        return granted

    def grow(self, job: Job, micro_batch_size: int) -> list[str]:
        """Let a trial reach its peak; return who dies of it."""
        gpu = self._gpu_of(job.name)
        demand = self.demand_mib(job, micro_batch_size)
        reserved_mib = gpu.asks[job.name].reserved_mib
        if self._caps and demand > reserved_mib:
            gpu.used_mib[job.name] = reserved_mib
            self._deaths.append(Death(job.name, was_hurt=False))
            return [job.name]
        gpu.used_mib[job.name] = demand
        if sum(gpu.used_mib.values()) <= gpu.capacity_mib:
            return []
        dead = list(gpu.used_mib)  # as it happened: all that were at work on the GPU were lost
        self._deaths += [Death(name, was_hurt=name != job.name or demand <= reserved_mib) for name in dead]
        return dead

    def leave(self, name: str) -> float:
        """Take a trial from its GPU; return what it used at its peak."""
        gpu = self._gpu_of(name)
        del gpu.asks[name]
        return gpu.used_mib.pop(name)

    def deaths(self) -> list[Death]:
        """Return every death so far."""
        return self._deaths

    def packages(self) -> set[str]:
        """Return the packages that the ledger's process has imported."""
        return {name.partition(".")[0] for name in sys.modules}

    def _gpu_of(self, name: str) -> _Gpu:
        return next(gpu for gpu in self._gpus if name in gpu.asks)
