"""A search in virtual time: the decisions are those of a real one, only the replicates are made up."""

from __future__ import annotations

import heapq
import itertools
import json
import math
from dataclasses import dataclass

from analysis.statistics.inference import paired_comparison
from analysis.statistics.looks import LEVEL
from sweeps.search.chooser import ArmSearch, Chooser, Selected, Trace, Unit
from sweeps.search.samplers import Point
from sweeps.search.simulation.worlds import World


def name_of(point: Point) -> str:
    """Return an id of a point that stands in for the config_id."""
    return json.dumps(point, sort_keys=True)


@dataclass(frozen=True)
class Simulated:
    """One simulated search."""

    num_candidates: int
    num_trials: int
    """Starts of replicates, one after a climb included."""
    replicates: float
    """What was trained, in replicates trained to the last step."""
    hours: float
    """Virtual wall time, in the time of one whole replicate."""
    winner: Point | None
    true_mean: float
    """Of the winner, over all seeds; infinite if everything failed."""
    shown: float
    """The mean on the seeds that chose it."""
    best_true: float
    """The best true mean among the candidates."""
    is_false: bool
    """Whether another candidate that was trained with all steps is better by more than half a unit of noise."""
    leaders: tuple[tuple[float, float], ...]
    """Whenever another candidate led: replicates trained by then, and its true mean. The last one is the winner."""


class VirtualSweep:
    """Runs the search of one arm on virtual workers.

    Args:
        search: The search; config_ids are `name_of` its points.
        world: What replicates score.
        num_slots: Workers.
    """

    def __init__(self, search: ArmSearch, world: World, num_slots: int) -> None:
        self._search, self._world, self._num_slots = search, world, num_slots
        self.chooser = Chooser(search)
        self.traces: dict[tuple[str, int], Trace] = {}
        self._steps: dict[tuple[str, int], int] = {}
        self._running: list[tuple[float, int, Unit]] = []
        self._waiting: list[Unit] = []
        self._order = itertools.count()
        self._now = 0.0
        self.num_trials = 0
        self._trained = 0
        self._leaders: list[tuple[float, float]] = []
        self._leader = ""

    def run(self) -> Simulated:
        """Run it to its end."""
        while True:
            while len(self._running) < self._num_slots and (unit := self._next_unit()) is not None:
                self._start(unit)
            if not self._running:
                return self._result()
            self._end()

    def _next_unit(self) -> Unit | None:
        while not self._waiting:
            decision = self.chooser.next()
            if decision is None:
                return None
            self._waiting = self.chooser.apply(decision)
            if isinstance(decision, Selected):
                return None
        return self._waiting.pop(0)

    def _start(self, unit: Unit) -> None:
        done = self._steps.get(unit.key, 0)
        takes = (unit.steps - done) / self._search.rungs[-1].steps
        heapq.heappush(self._running, (self._now + takes, next(self._order), unit))
        self.num_trials += 1

    def _end(self) -> None:
        self._now, _, unit = heapq.heappop(self._running)
        key = unit.key
        trace = self.traces.setdefault(key, Trace())
        last = self._search.rungs[-1].steps
        point = self.chooser.proposals[unit.config_id].point
        for rung in self._search.rungs:
            if self._steps.get(key, 0) < rung.steps <= unit.steps:
                score = self._world.score(point, unit.seed, rung.steps / last)
                if score is None:
                    trace.failed = True
                else:
                    trace.losses[rung.steps] = score
        self._trained += unit.steps - self._steps.get(key, 0)
        self._steps[key] = unit.steps
        self.chooser.tell(*key, trace)
        self._note_leader()

    def _note_leader(self) -> None:
        leader = self.chooser.ladder.leader()
        if leader is not None and leader[0] != self._leader:
            self._leader = leader[0]
            true = self._world.true_mean(self.chooser.proposals[self._leader].point)
            self._leaders.append((self._trained / self._search.rungs[-1].steps, true))

    def _result(self) -> Simulated:
        last = self._search.rungs[-1].steps
        trained = {name for (name, _), steps in self._steps.items() if steps == last}
        selected = self.chooser.selected
        assert selected is not None
        true = {name: self._world.true_mean(one.point) for name, one in self.chooser.proposals.items()}
        winner = selected.config_id
        mean = true[winner] if winner else math.inf
        return Simulated(
            num_candidates=len(true),
            num_trials=self.num_trials,
            replicates=self._trained / last,
            hours=self._now,
            winner=self.chooser.proposals[winner].point if winner else None,
            true_mean=mean,
            shown=math.inf if selected.loss is None else selected.loss,
            best_true=min(true.values(), default=math.inf),
            is_false=any(true[name] < mean - HALF_NOISE for name in trained),
            leaders=tuple(self._leaders),
        )


HALF_NOISE = 0.25
"""Half the standard deviation over seeds of the world `quadratic`."""


def claims_better(
    world: World,
    winner: Point,
    baseline: Point,
    seeds: tuple[int, ...],
    looks: tuple[tuple[int, float], ...] = (),
) -> bool:
    """Return whether a winner is found better than the baseline by paired t tests over seeds.

    Args:
        world: What replicates score.
        winner: Of the search.
        baseline: What it is compared with.
        seeds: Fresh ones.
        looks: Numbers of seeds with their levels; the first look that finds a difference is the last. Empty: one
            look at all seeds.
    """
    ours, theirs = ([world.score(point, seed, 1.0) for seed in seeds] for point in (winner, baseline))
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    if len(pairs) < len(seeds):
        return False
    for n, alpha in looks or ((len(seeds), LEVEL),):
        found = paired_comparison([a for a, _ in pairs[:n]], [b for _, b in pairs[:n]])
        if found.p is not None and found.p < alpha:
            return found.difference < 0
    return False
