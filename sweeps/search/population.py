"""A population that trains in step: at each rung the worse members are replaced by children of the better ones.

A child is its parent with other settings of the optimiser from that rung on, and with the parent's seed: its first
part need not be trained again, and what has been found is a schedule, an ordinary configuration that can be trained
anew with any seed.

Source:
    Jaderberg et al. (2017), "Population based training of neural networks", arXiv:1711.09846. There a child takes
    over weights of another seed, so that nobody can train it again; here all members have one seed.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

from analysis.records.schedules import CHANGES, schedule_of
from search_spaces.dimensions import Choice
from sweeps.search.chooser import MAX_TRIES, ArmSearch, Chooser, Decision, Proposal
from sweeps.search.ladder import Promotion
from sweeps.search.samplers import Point, stream
from sweeps.studies.schema.search import CHANGEABLE

FACTORS = (0.8, 1.25)
"""By which a number of the parent is multiplied."""
MAX_STEPS_AWAY = 4
"""Tries with a factor; after them a child's settings are drawn anew from the space."""


class Population(Chooser):
    """Decides in the search of one arm whose candidates are members of a population.

    Args:
        search: What is fixed; `population` is the number of members.
    """

    def next(self) -> Decision | None:
        """Return the next decision; None if results must come first, or all is decided."""
        if self.selected is not None:
            return None
        if len(self.proposals) < self._search.population and (proposal := self._proposal()) is not None:
            return proposal
        last = len(self._search.rungs) - 1
        for rung in range(last + 1):
            ranked = self._ranked(rung)
            if ranked is None:
                return None
            if rung == last or all(math.isinf(loss) for loss, _ in ranked):
                return self._select("the population has trained to the end")
            if (decision := self._step(rung, ranked)) is not None:
                return decision
        return None

    def _ranked(self, rung: int) -> list[tuple[float, str]] | None:
        """Return the members at a rung, the best first; None before all are scored."""
        members = [one for one, born in self.proposals.items() if born.rung <= rung <= self.ladder.rung_of(one)]
        losses = [self.ladder.loss(one, rung) for one in members]
        known = [(loss, one) for loss, one in zip(losses, members, strict=True) if loss is not None]
        return sorted(known) if len(known) == len(members) else None

    def _step(self, rung: int, ranked: list[tuple[float, str]]) -> Decision | None:
        """Return the next decision by which the population gets beyond a rung; None after the last."""
        share = int(len(ranked) / self._search.eta)
        num_failed = sum(math.isinf(loss) for loss, _ in ranked)
        num_replaced = max(share, num_failed)
        parents = [one for loss, one in ranked[: max(1, share)] if math.isfinite(loss)]
        born = sum(one.rung == rung + 1 for one in self.proposals.values())
        # Children first: a parent that trains on overwrites the checkpoint that they begin with.
        if born < num_replaced and (child := self._child(parents[born % len(parents)], rung)) is not None:
            return child
        for place, (loss, one) in enumerate(ranked[: len(ranked) - num_replaced], start=1):
            if self.ladder.rung_of(one) == rung:
                return Promotion(one, rung + 1, loss, place, len(ranked))
        return None

    def _child(self, parent: str, rung: int) -> Proposal | None:
        """Return a member that has not been before; None if none is found."""
        of, number = self.proposals[parent], len(self.proposals)
        step = self._search.rungs[rung].steps
        for tried in range(MAX_TRIES):
            draw = random.Random(stream(self._search.seed, "change", number, tried))
            change = self._changed(of.point, draw, anew=tried >= MAX_STEPS_AWAY)
            if not change:
                continue
            changes = (*of.point.get(CHANGES, ()), {"from_step": step, **change})
            by = f"number {of.number}, changed at step {step}"
            if (found := self._new(number, {**of.point, CHANGES: changes}, by)) is not None:
                return replace(found, rung=rung + 1)
        return None

    def _changed(self, point: Point, draw: random.Random, *, anew: bool) -> dict[str, Any]:
        """Return other values of the fields that may change, by their names in the optimiser's section."""
        now, drawn, found = settings_now(point), self._search.space.sample(draw), {}
        for name in CHANGEABLE:
            if name not in now or name not in self._search.space.dimensions:
                continue
            dimension = self._search.space.dimensions[name]
            if anew or isinstance(dimension, Choice):
                value = drawn.get(name, now[name])
            else:
                wanted = now[name] * draw.choice(FACTORS)
                value = min(max(wanted, dimension.at(0.0)), dimension.at(1.0 - 2**-53))
            if value != now[name]:
                found[name.partition(".")[2]] = value
        return found

    def _cost_of_birth(self, rung: int) -> float:
        return super()._cost_of_birth(rung) if rung == 0 else self._cost(rung)


def settings_now(point: Point) -> Point:
    """Return the fields of a point after its last change, without the changes."""
    return {name: schedule_of(point, name)[-1][1] for name in point if name != CHANGES}


def chooser_of(search: ArmSearch) -> Chooser:
    """Return what decides in a search."""
    return Population(search) if search.population else Chooser(search)
