"""Claims about factors: a main effect, or the interaction of two, by one contrast a seed or an F over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.claims.kinds import KINDS
from analysis.statistics.inference import mean_interval
from analysis.statistics.one_sided import p_above, p_below
from analysis.statistics.repeated_measures import effect_p
from analysis.statistics.transforms import Interval
from analysis.verdicts.evidence import Evidence
from analysis.verdicts.verdict import Finding


class Factorial:
    """With two levels a field, a contrast a seed and Student's t; with more, F of repeated measures.

    A direction or a margin needs the contrast. Without a direction either sign supports the claim, at twice the
    level.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.claim = evidence, evidence.claim
        self.level = KINDS[self.claim.kind].level

    def needs(self) -> tuple[str, ...]:
        """Return the arms whose results it is judged by."""
        return (*self.claim.arms, *self.claim.controls)

    def judge(self) -> Finding:
        """Judge the values."""
        own = self._finding(self.claim.arms)
        if own.outcome != "supported" or not self.claim.controls:
            return own
        if self._finding(self.claim.controls).outcome == "supported":
            return replace(own, outcome="refuted", because=("control",), control=self.claim.controls[0])
        return own

    def _finding(self, arms: Sequence[str]) -> Finding:
        cube = self._cube(arms)
        if cube is None:
            return Finding(
                outcome="inconclusive", because=("not measured",), note="not every cell of the design has run"
            )
        if cube.shape[0] < 2:
            return Finding(outcome="inconclusive", because=("power",), n=cube.shape[0], note="one seed")
        return self._of_contrast(cube) if set(cube.shape[1:]) == {2} else self._of_f(cube)

    def _of_contrast(self, cube_SLL: np.ndarray) -> Finding:
        contrast = cube_SLL
        for _ in range(cube_SLL.ndim - 1):
            contrast = contrast[:, 1] - contrast[:, 0]
        values = contrast.tolist()
        margin = self.claim.margin or 0.0
        interval = mean_interval(values, confidence=1 - 2 * self.level)

        def at(confidence: float) -> Interval | None:
            return mean_interval(values, confidence=confidence)

        up, down = p_above(at, margin), p_below(at, -margin)
        effect = float(np.mean(values))
        described: dict[str, Any] = {"effect": effect, "effect_kind": "difference", "n": len(values)}
        if interval is None or up is None or down is None:
            return Finding(outcome="inconclusive", because=("no variance",), **described)
        described |= {"ci_low": interval.low, "ci_high": interval.high}
        p = {"higher": up, "lower": down, None: min(up, down)}[self.claim.direction]
        smaller, wrong = self._against(at, margin, up, down)
        described |= {"p": p, "p_adjusted": smaller}
        if p < self.level:
            return Finding(outcome="supported", **described)
        refuted = smaller is not None and smaller < self.level
        if not refuted:
            return Finding(outcome="inconclusive", because=("power",), **described)
        return Finding(outcome="refuted", because=("margin",) if margin and not wrong else ("effect",), **described)

    def _against(self, at: Any, margin: float, up: float, down: float) -> tuple[float | None, bool]:
        """Return the p against the claim, and whether it is by the wrong sign."""
        below, above = p_below(at, margin), p_above(at, -margin)
        if self.claim.direction is None:
            if not margin or below is None or above is None:
                return None, False
            return max(below, above), False
        p = below if self.claim.direction == "higher" else above
        wrong = (down if self.claim.direction == "higher" else up) < self.level
        return p, wrong

    def _of_f(self, cube_SLL: np.ndarray) -> Finding:
        if self.claim.direction is not None or self.claim.margin is not None:
            note = "more than two levels have no one contrast: leave out direction and margin"
            return Finding(outcome="inconclusive", because=("margin",), n=cube_SLL.shape[0], note=note)
        found = effect_p(cube_SLL)
        if found is None:
            return Finding(outcome="inconclusive", because=("no variance",), n=cube_SLL.shape[0])
        f, p = found
        is_shown = p < 2 * self.level
        return Finding(
            outcome="supported" if is_shown else "inconclusive",
            because=() if is_shown else ("power",),
            n=cube_SLL.shape[0],
            p=p,
            note=f"F = {f:.3g} of repeated measures",
        )

    def _cube(self, arms: Sequence[str]) -> np.ndarray | None:
        """Return values by seed and level of each field, means over what else varies; None if a cell is empty."""
        fields = self.claim.effect
        places = {name: tuple(self.evidence.field_over(name, field) for field in fields) for name in arms}
        levels = [sorted({place[axis] for place in places.values()}, key=_order) for axis in range(len(fields))]
        samples = {name: self.evidence.sample(name) for name in arms}
        seeds = sorted(set.intersection(*(set(sample.values) for sample in samples.values())))
        cells: dict[tuple[int, ...], list[list[float]]] = {}
        for name, place in places.items():
            index = tuple(level.index(value) for level, value in zip(levels, place, strict=True))
            if seeds:
                values = self.evidence.scale.forward([samples[name].values[seed] for seed in seeds])
                cells.setdefault(index, []).append(values.tolist())
        shape = tuple(map(len, levels))
        if len(cells) < int(np.prod(shape)):
            return None
        cube = np.empty((len(seeds), *shape))
        for index, rows in cells.items():
            np.moveaxis(cube, 0, -1)[index] = np.mean(rows, axis=0)
        return cube


def _order(value: Any) -> tuple[bool, Any]:
    """Order numbers by size, and everything else after them by its text."""
    is_number = isinstance(value, int | float)
    return (not is_number, value if is_number else str(value))
