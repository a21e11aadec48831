"""Claims about one arm: threshold, interval, failure rate, receipt. No control may show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.claims.claim import RECEIPT_PREFIX
from analysis.claims.kinds import KINDS
from analysis.results.memory import receipt
from analysis.statistics.inference import mean, mean_interval
from analysis.statistics.one_sided import IntervalAt, p_sides
from analysis.statistics.transforms import Interval, clopper_pearson
from analysis.verdicts.evidence import EXACT, Evidence
from analysis.verdicts.verdict import Compared, EffectKind, Finding


class Threshold:
    """The arm's mean lies on the claimed side of the bound: its interval does, wholly."""

    effect_kind: EffectKind = "value"

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.claim = evidence, evidence.claim
        self.level = KINDS[self.claim.kind].level

    def needs(self) -> tuple[str, ...]:
        """Return the arms whose results it is judged by."""
        return (str(self.claim.arm), *self.claim.controls)

    def judge(self) -> Finding:
        """Judge the values."""
        own = self._asked(str(self.claim.arm))
        controls = [self._of_control(name) for name in self.claim.controls]
        found = Finding(
            outcome="inconclusive",
            effect=own.effect,
            effect_kind=self.effect_kind,
            ci_low=own.ci_low,
            ci_high=own.ci_high,
            n=own.n,
            p=own.p,
            p_adjusted=own.p_against,
            comparisons=tuple(controls),
        )
        return self._with_outcome(found, own, controls)

    def _with_outcome(self, found: Finding, own: Compared, controls: Sequence[Compared]) -> Finding:
        showing = [control for control in controls if control.fails]
        open_controls = [control for control in controls if not control.holds]
        if own.fails:
            return replace(found, outcome="refuted", because=("effect",))
        if own.p is None:
            return replace(found, because=("no variance",))
        if not own.holds:
            return replace(found, because=("power",))
        if showing:
            return replace(found, outcome="refuted", because=("control",), control=showing[0].arm)
        if open_controls:
            return replace(found, because=("control", "power"), control=open_controls[0].arm)
        return replace(found, outcome="supported")

    def _of_control(self, name: str) -> Compared:
        """Return whether a control is shown not to lie there (it holds), or shown to lie there (it fails)."""
        asked = self._asked(name)
        if asked.n == 0:
            return replace(asked, role="control", holds=True, fails=False)  # it has no such quantity
        if asked.p is None and asked.effect is not None:  # nothing varies: one number, which lies there or not
            lies_there = self._contains(asked.effect)
            return replace(asked, role="control", holds=not lies_there, fails=lies_there)
        return replace(asked, role="control", holds=asked.fails, fails=asked.holds)

    def _asked(self, name: str) -> Compared:
        """Return whether the arm is shown to lie there (it holds), or shown not to (it fails)."""
        values = [*self.evidence.sample(name).values.values()]
        interval = self._interval(name, 1 - 2 * self.level)
        p, p_against = self._p_values(name)
        return Compared(
            arm=name,
            role="against",
            n=len(values),
            effect=mean(values, scale=self.evidence.scale) if values else None,
            ci_low=interval.low if interval else None,
            ci_high=interval.high if interval else None,
            p=p,
            p_against=p_against,
            p_against_adjusted=p_against,
            holds=p is not None and p < self.level,
            fails=p_against is not None and p_against < self.level,
        )

    def _interval(self, name: str, confidence: float) -> Interval | None:
        values = [*self.evidence.sample(name).values.values()]
        if self.evidence.metric.exact and len(set(values)) == 1:
            return Interval(values[0], values[0], EXACT)
        return mean_interval(values, confidence=confidence, scale=self.evidence.scale) if values else None

    def _p_values(self, name: str) -> tuple[float | None, float | None]:
        """Return the one-sided p for and against lying there."""
        bound = float(self.claim.bound or 0.0)
        above, below = p_sides(self._at(name), bound)
        return (above, below) if self.claim.direction == "higher" else (below, above)

    def _at(self, name: str) -> IntervalAt:
        return lambda confidence: self._interval(name, confidence)

    def _contains(self, value: float) -> bool:
        bound = float(self.claim.bound or 0.0)
        return value > bound if self.claim.direction == "higher" else value < bound


class Within(Threshold):
    """The arm's mean lies within the bounds: its interval does, wholly; refuted if it lies wholly outside."""

    def _p_values(self, name: str) -> tuple[float | None, float | None]:
        low, high = self.claim.bounds or (0.0, 0.0)
        above_low, below_low = p_sides(self._at(name), low)
        above_high, below_high = p_sides(self._at(name), high)
        inside, outside = (above_low, below_high), (below_low, above_high)
        if any(p is None for p in (*inside, *outside)):
            return None, None
        # Two ways to lie outside exclude each other, so the smaller p needs no correction.
        return max(p for p in inside if p is not None), min(p for p in outside if p is not None)

    def _contains(self, value: float) -> bool:
        low, high = self.claim.bounds or (0.0, 0.0)
        return low < value < high


class FailureRate(Threshold):
    """The share of replicates that diverge lies on the claimed side of the bound, by Clopper and Pearson's
    interval."""

    effect_kind: EffectKind = "share"

    def _asked(self, name: str) -> Compared:
        sample = self.evidence.sample(name)
        diverged, ended = sample.statuses["diverged"], sample.statuses["diverged"] + sample.statuses["finished"]
        interval = self._interval(name, 1 - 2 * self.level)
        p, p_against = self._p_values(name) if ended else (None, None)
        return Compared(
            arm=name,
            role="against",
            n=ended,
            effect=diverged / ended if ended else None,
            ci_low=interval.low if interval else None,
            ci_high=interval.high if interval else None,
            p=p,
            p_against=p_against,
            p_against_adjusted=p_against,
            holds=p is not None and p < self.level,
            fails=p_against is not None and p_against < self.level,
        )

    def _interval(self, name: str, confidence: float) -> Interval | None:
        statuses = self.evidence.sample(name).statuses
        ended = statuses["diverged"] + statuses["finished"]
        if not ended:
            return None
        return Interval(*clopper_pearson(statuses["diverged"], ended, confidence), "Clopper-Pearson on replicates")


class ReceiptQuantity:
    """A quantity of the memory receipt lies on the claimed side of the bound; it is counted, not estimated."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.claim = evidence, evidence.claim

    def needs(self) -> tuple[str, ...]:
        """Return every arm: the receipt is that of the whole sweep."""
        return tuple(arm.arm for arm in self.evidence.sweep.arms)

    def judge(self) -> Finding:
        """Judge the receipt."""
        name = str(self.claim.metric).removeprefix(RECEIPT_PREFIX)
        made = receipt(self.evidence.state, self.evidence.sweep)
        value = getattr(made, f"num_{name}", getattr(made, name, None))
        if not isinstance(value, int | float):
            return Finding(outcome="inconclusive", because=("not measured",), note=f"the receipt has no {name}")
        bound = float(self.claim.bound or 0.0)
        holds = value > bound if self.claim.direction == "higher" else value < bound
        return Finding(
            outcome="supported" if holds else "refuted",
            because=() if holds else ("effect",),
            effect=float(value),
            effect_kind="value",
            n=1,
            note="counted, not estimated: it has no interval",
        )
