"""The path from an arm's own settings to its winner: what is tried next, and which field is flipped.

At each step every field that is left is tried; the one that is best, or loses least, gets the winner's value. What
is decided depends on what was decided and scored alone.

Source:
    Fawcett & Hoos (2016), "Analysing differences between algorithm configurations through ablation", Journal of
    Heuristics 22:431-458. Their racing is left out: every field is tried with equal seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.records.path import Flip, Walk
from search_spaces.space import InvalidPointError

Point = dict[str, Any]


class DeadEndError(ValueError):
    """The path leads no further; the message says why and what to do."""


@dataclass(frozen=True)
class Try:
    """A configuration that may be the next on the path."""

    step: int
    field: str
    point: Point
    """The fields that have the winner's values, the newest last."""
    config_id: str
    is_alone: bool
    """Whether nothing else may be next, so that it need not be tried."""


@dataclass(frozen=True)
class Route:
    """What is fixed of a path.

    Args:
        changed: The fields in which the winner differs from the arm's own settings, with its values.
        winner: Its config_id.
        identify: Returns the config_id of the arm's own settings with some of these fields.
    """

    changed: Point
    winner: str
    identify: Callable[[Point], str]

    def next(self, walk: Walk, loss_of: Callable[[str], float | None]) -> Try | Flip | None:
        """Return the next decision; None if scores must come first, or the winner is reached.

        Args:
            walk: What was decided.
            loss_of: Returns the mean score of a config_id over the seeds that choose, lower is better; infinite if
                it failed, None while it is not known.

        Raises:
            DeadEndError: If no field that is left can be flipped, or all failed.
        """
        if not walk.steps:
            return Try(0, "", {}, self.identify({}), is_alone=True)
        if walk.has_come_to(self.winner):
            return None
        here = walk.steps[-1]
        step, options = here.step + 1, self._options(here.point, here.config_id)
        for name, config_id in options.items():
            if (step, name) not in walk.waypoints:
                point = {**here.point, name: self.changed[name]}
                return Try(step, name, point, config_id, is_alone=len(options) == 1)
        if len(options) == 1:
            ((name, config_id),) = options.items()
            return Flip(step=step, field=name, config_id=config_id, loss=None)
        return self._flip(step, options, {name: loss_of(config_id) for name, config_id in options.items()})

    def _flip(self, step: int, options: Mapping[str, str], losses: Mapping[str, float | None]) -> Flip | None:
        known = {name: loss for name, loss in losses.items() if loss is not None}
        if len(known) < len(losses):
            return None
        best = min(known, key=lambda name: known[name])
        if math.isinf(known[best]):
            raise DeadEndError(f"step {step} of the path: all that may come next failed, {', '.join(known)}")
        return Flip(step=step, field=best, config_id=options[best], loss=known[best])

    def _options(self, point: Point, config_id: str) -> dict[str, str]:
        """Return {field: config_id} of what may be flipped: what is valid and has an effect now."""
        found, reasons = {}, []
        for name in self.changed.keys() - point.keys():
            try:
                found[name] = self.identify({**point, name: self.changed[name]})
            except InvalidPointError as error:
                reasons.append(f"{name}: {error}")
        options = {name: found[name] for name in self.changed if found.get(name, config_id) != config_id}
        if not options:
            said = "; ".join(sorted(reasons)) or "none has an effect by itself"
            raise DeadEndError(
                f"the path to the winner ends after {len(point)} of {len(self.changed)} fields, since no other can "
                f"follow alone ({said}); change space.forbid, or the arm's own settings"
            )
        return options
