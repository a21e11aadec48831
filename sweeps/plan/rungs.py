"""Rungs: how many steps and seeds a configuration gets before it is compared with others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from analysis.records.searching import Rung
from sweeps.studies.search_schema import SchedulerSpec


class RungError(ValueError):
    """No ladder can be built; the message says what to change."""


def rungs_of(scheduler: SchedulerSpec, *, steps: int, report_every: int) -> tuple[Rung, ...]:
    """Return the rungs of a scheduler.

    Raises:
        RungError: If the first rung has no report.
    """
    if scheduler.name == "fifo":
        return (Rung(steps=steps, seeds=scheduler.seeds),)
    seeds = 1 if scheduler.name == "asha" else scheduler.seeds
    return ladder_rungs(
        steps=steps, report_every=report_every, first=scheduler.first, eta=scheduler.eta, seeds=seeds
    )


def ladder_rungs(*, steps: int, report_every: int, first: float, eta: int, seeds: int) -> tuple[Rung, ...]:
    """Return rungs of ever more steps with one seed, then of all steps with ever more seeds, each `eta` times more.

    Args:
        steps: Of a whole replicate.
        report_every: Steps between reports: only there a replicate is scored and can stop.
        first: Share of the steps of the first rung; 1: all of them.
        eta: Factor between rungs.
        seeds: Most seeds.

    Raises:
        RungError: If the first rung has no report.
    """
    if steps == 0:
        raise RungError("budget.steps is 0: there is nothing to compare at the rungs of a ladder")
    early = [share for share in _growing(first, 1.0, eta) if share < 1.0]
    snapped = [int(share * steps / report_every + 0.5) * report_every for share in early]
    if 0 in snapped:
        raise RungError(
            f"its first rung is at {first:g} of {steps} steps, and the first report is at step {report_every}; set "
            f"budget.report_every to at most {max(1, int(first * steps))}, or scheduler.first to at least "
            f"{report_every / steps:g}"
        )
    of_steps = [Rung(steps=at, seeds=1) for at in dict.fromkeys([*(at for at in snapped if at < steps), steps])]
    return (*of_steps, *(Rung(steps=steps, seeds=round(n)) for n in _growing(eta, seeds, eta) if seeds > 1))


def _growing(start: float, end: float, factor: float) -> Iterator[float]:
    """Yield `start`, `factor` times as much, and so on, and `end` at last."""
    value = start
    while value < end * (1 - 1e-9):
        yield value
        value *= factor
    yield end


def cost(rung: Rung, last_step: int) -> float:
    """Return what a configuration at a rung has cost since it began, in whole replicates.

    The first seed has climbed through all steps; any other one is trained whole.
    """
    return rung.seeds * rung.steps / last_step


def expected_climbs(
    rungs: tuple[Rung, ...], *, eta: float, replicates: float, configurations: int | None
) -> tuple[int, ...]:
    """Return how many configurations are expected to be scored at each rung.

    Args:
        rungs: The rungs.
        eta: One in so many climbs.
        replicates: The budget, in whole replicates.
        configurations: Most configurations; None: as many as the budget allows.
    """
    most = configurations or int(replicates / cost(rungs[0], rungs[-1].steps))
    for start in range(most, 0, -1):
        counts = [start]
        while len(counts) < len(rungs):
            counts.append(int(counts[-1] / eta))
        if total_cost(rungs, counts) <= replicates:
            return tuple(_with_leader(rungs, counts, replicates))
    return (1, *(0 for _ in rungs[1:]))


def _with_leader(rungs: tuple[Rung, ...], counts: list[int], replicates: float) -> list[int]:
    """Return the counts with one configuration that climbs on, as far as the budget allows."""
    for index in range(1, len(counts)):
        led = [*counts[:index], max(1, counts[index]), *counts[index + 1 :]]
        if total_cost(rungs, led) > replicates:
            break
        counts = led
    return counts


def total_cost(rungs: tuple[Rung, ...], counts: list[int]) -> float:
    """Return the cost of so many configurations at each rung, in whole replicates."""
    last = rungs[-1].steps
    costs = [cost(rung, last) for rung in rungs]
    gains = [costs[0], *(after - before for before, after in itertools.pairwise(costs))]
    return math.fsum(n * gain for n, gain in zip(counts, gains, strict=True))
