"""Rungs: how many steps and seeds a configuration gets before it is compared with others."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.records.searching import Rung
from sweeps.studies.schema.search import SchedulerSpec


class RungError(ValueError):
    """No ladder can be built; the message says what to change."""


def rungs_of(scheduler: SchedulerSpec, *, steps: int, report_every: int) -> tuple[Rung, ...]:
    """Return the rungs of a scheduler.

    Raises:
        RungError: If the first rung has no report.
    """
    if scheduler.name == "fifo":
        return (Rung(steps=steps, seeds=scheduler.seeds),)
    if scheduler.name == "pbt":
        return population_rungs(steps=steps, report_every=report_every, every=scheduler.first)
    rungs = ladder_rungs(
        steps=steps,
        report_every=report_every,
        first=scheduler.first,
        eta=scheduler.eta,
        seeds=scheduler.most_seeds,
    )
    if scheduler.name == "median":
        return (*(Rung(steps=at, seeds=1) for at in range(rungs[0].steps, steps, report_every)), rungs[-1])
    return rungs


def starts_of(scheduler: SchedulerSpec, rungs: tuple[Rung, ...]) -> tuple[int, ...]:
    """Return the rungs at which proposals begin, in turn.

    Of `hyperband`, the proposals that begin at each rung cost about as much as those of any other rung.

    Source:
        Li et al. (2018), "Hyperband", JMLR 18:185.
    """
    if scheduler.name != "hyperband":
        return (0,)
    last = rungs[-1].steps
    own = [climb_cost(rungs, begin, scheduler.eta, last) for begin in range(len(rungs))]
    left = [round(max(own) / each) for each in own]
    turns: list[int] = []
    total = sum(left)
    while len(turns) < total:
        # The rung that is furthest behind its share is next.
        behind = [count * (len(turns) + 1) / total - turns.count(begin) for begin, count in enumerate(left)]
        turns.append(behind.index(max(behind)))
    return tuple(turns)


def climb_cost(rungs: tuple[Rung, ...], begin: int, eta: float, last: int) -> float:
    """Return what a proposal that begins at a rung costs on average with its climbs, in whole replicates."""
    steps = enumerate(itertools.pairwise(rungs[begin:]), start=1)
    gains = [(cost(after, last) - cost(before, last)) / eta**climb for climb, (before, after) in steps]
    return math.fsum([cost(rungs[begin], last), *gains])


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


def population_rungs(*, steps: int, report_every: int, every: float) -> tuple[Rung, ...]:
    """Return rungs of one seed, so often in the steps of a replicate.

    Args:
        steps: Of a whole replicate.
        report_every: Steps between reports.
        every: Share of the steps from one rung to the next.

    Raises:
        RungError: If the first rung has no report, or is the last.
    """
    between = int(every * steps / report_every + 0.5) * report_every
    if not 0 < between < steps:
        raise RungError(
            f"a population is compared every {every:g} of {steps} steps, and reports are every {report_every}: set "
            "scheduler.first so that there are reports before the last step"
        )
    return tuple(Rung(steps=at, seeds=1) for at in (*range(between, steps, between), steps))


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


@dataclass(frozen=True)
class Expected:
    """How a search is expected to go, if nothing fails."""

    scored: tuple[int, ...]
    """Configurations that are scored at each rung."""
    begun: tuple[int, ...]
    """Of those, the ones that begin there."""
    replicates: float
    """What they cost, in whole replicates."""


def expected_climbs(
    rungs: tuple[Rung, ...],
    *,
    eta: float,
    replicates: float,
    configurations: int | None,
    starts: tuple[int, ...] = (0,),
) -> Expected:
    """Return how many configurations are expected at each rung.

    Args:
        rungs: The rungs.
        eta: One in so many climbs.
        replicates: The budget, in whole replicates.
        configurations: Most configurations; None: as many as the budget allows.
        starts: The rungs at which proposals begin, in turn.
    """

    def at_rungs(number: int) -> tuple[list[int], tuple[int, ...]]:
        """Return how many of so many configurations come to each rung, and how many begin there."""
        whole, rest = divmod(number, len(starts))
        begun = tuple(whole * starts.count(rung) + starts[:rest].count(rung) for rung in range(len(rungs)))
        counts = [begun[0]]
        for own in begun[1:]:
            counts.append(own + int(counts[-1] / eta))
        return counts, begun

    most = configurations or int(replicates / cost(rungs[min(starts)], rungs[-1].steps))
    numbers = range(1, most + 1)  # more of them cost more
    affordable = bisect_left(numbers, True, key=lambda number: _total_cost(rungs, *at_rungs(number)) > replicates)
    if affordable:
        return _with_leader(rungs, *at_rungs(affordable), replicates)
    first = (1, *(0 for _ in rungs[1:]))
    return Expected(first, first, _total_cost(rungs, first, first))


def expected_population(rungs: tuple[Rung, ...], members: int, eta: float) -> Expected:
    """Return how many members of a population are scored at each rung, and how many are born there."""
    children = int(members / eta)
    return Expected((members,) * len(rungs), (members, *(children for _ in rungs[1:])), float(members))


def _with_leader(
    rungs: tuple[Rung, ...], counts: Sequence[int], begun: tuple[int, ...], replicates: float
) -> Expected:
    """Return the counts with one configuration that climbs on, as far as the budget allows."""
    for index in range(1, len(counts)):
        led = [*counts[:index], max(1, counts[index]), *counts[index + 1 :]]
        if _total_cost(rungs, led, begun) > replicates:
            break
        counts = led
    return Expected(tuple(counts), begun, _total_cost(rungs, counts, begun))


def _total_cost(rungs: tuple[Rung, ...], counts: Sequence[int], begun: Sequence[int]) -> float:
    """Return what so many configurations at each rung cost, of which so many begin there, in whole replicates."""
    costs = [0.0, *(cost(rung, rungs[-1].steps) for rung in rungs)]
    gains = [after - before for before, after in itertools.pairwise(costs)]
    climbed = [n - own for n, own in zip(counts, begun, strict=True)]
    return math.fsum(
        [
            *(n * gain for n, gain in zip(climbed, gains, strict=True)),
            *(own * whole for own, whole in zip(begun, costs[1:], strict=True)),
        ]
    )
