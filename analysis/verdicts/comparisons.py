"""Claims that compare an arm with others: superiority, pairwise, non-inferiority, equivalence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.claims.kinds import KINDS
from analysis.results.comparison import Sample, compare
from analysis.statistics.inference import holm, standard_deviation
from analysis.statistics.one_sided import p_above, p_below, p_sides, seeds_needed
from analysis.statistics.proportions import newcombe
from analysis.statistics.transforms import LINEAR, LOG, Interval, Logit, is_constant
from analysis.verdicts.evidence import EXACT, Evidence
from analysis.verdicts.verdict import Compared, EffectKind, Finding, Outcome, Reason


@dataclass(frozen=True)
class Difference:
    """The difference of two arms, as an interval of any coverage."""

    arm: Sample
    other: Sample
    evidence: Evidence
    factor: float = 1.0
    """By which the other arm's values are multiplied: a relative margin of a metric that is compared by
    differences."""

    def interval(self, confidence: float) -> Interval | None:
        """Return the interval of arm − other; None if there is no test."""
        scaled = replace(self.other, values={seed: v * self.factor for seed, v in self.other.values.items()})
        found = compare(self.arm, scaled, self.evidence.spec(confidence))
        if found is None:
            return None
        if found.identical:
            return Interval(0.0, 0.0, "equal on every seed")
        if self.evidence.metric.exact and found.interval is None:
            return Interval(found.difference, found.difference, EXACT)
        return found.interval or self._of_items(confidence)

    def _of_items(self, confidence: float) -> Interval | None:
        """Return what the items of one seed say where rates vary over seeds in neither arm."""
        scale, a, b = self.evidence.scale, [*self.arm.values.values()], [*self.other.values.values()]
        if not isinstance(scale, Logit) or len(a) < 2 or len(b) < 2:
            return None
        if not (is_constant(scale.forward(a)) and is_constant(scale.forward(b))):
            return None
        return newcombe(a[0] * scale.items, scale.items, b[0] * scale.items, scale.items, confidence)

    @property
    def is_identical(self) -> bool:
        """Whether the arms score exactly the same on every seed, and vary over seeds."""
        found = compare(self.arm, self.other, self.evidence.spec(0.95))
        return self.factor == 1 and found is not None and found.identical

    @property
    def estimate(self) -> tuple[float, int] | None:
        """The difference and the pairs of seeds it is over."""
        found = compare(self.arm, self.other, self.evidence.spec(0.95))
        return None if found is None else (found.difference, found.n)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the paired differences, of logarithms if the metric is compared by ratios."""
        shared = sorted(self.arm.values.keys() & self.other.values.keys())
        scale = self.evidence.scale if self.evidence.scale == LOG else LINEAR
        if len(shared) < 2:
            return None
        a, b = (scale.forward([sample.values[seed] for seed in shared]) for sample in (self.arm, self.other))
        return standard_deviation(list(a - b))


class Comparative:
    """Compares `arm` with each of `against` and of the controls.

    Supported if every comparison holds, each at the kind's level (intersection-union). Refuted if one of them fails
    after Holm's adjustment over all of them. The reason is `effect` if `against` decides, `control` if only a
    control does.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.claim = evidence, evidence.claim
        self.level = KINDS[self.claim.kind].level

    def needs(self) -> tuple[str, ...]:
        """Return the arms whose results it is judged by."""
        return tuple(name for name in (self.claim.arm, *self.claim.against, *self.claim.controls) if name)

    def judge(self) -> Finding:
        """Judge the values."""
        compared = self._compared()
        outcome, because, control = self._outcome(compared)
        first = compared[0]
        difference = self._difference(first.arm)
        against = [one.p_against_adjusted for one in compared if one.p_against_adjusted is not None]
        excluded = self._excludes_published(difference)
        if outcome == "inconclusive" and excluded and not first.holds:
            outcome, because, control = "refuted", ("effect",), None
        return Finding(
            outcome=outcome,
            because=because,
            effect=first.effect,
            effect_kind=self._effect_kind,
            ci_low=first.ci_low,
            ci_high=first.ci_high,
            n=first.n,
            p=_largest([one.p for one in compared]),
            p_adjusted=min(against, default=None),
            control=control,
            seeds_needed=self._seeds_needed(difference, first.effect),
            excludes_published=excluded,
            comparisons=compared,
            note=self._note(compared, excluded),
        )

    def _compared(self) -> tuple[Compared, ...]:
        raw = [self._one(name, is_control=False) for name in self.claim.against]
        raw += [self._one(name, is_control=True) for name in self.claim.controls]
        return _adjusted(raw, self.level)

    def _one(self, name: str, *, is_control: bool) -> Compared:
        difference = self._difference(name)
        interval, estimate = difference.interval(1 - 2 * self.level), difference.estimate
        p, p_against = self._p_values(name)
        return Compared(
            arm=name,
            role="control" if is_control else "against",
            n=estimate[1] if estimate else 0,
            effect=estimate[0] if estimate else None,
            ci_low=interval.low if interval else None,
            ci_high=interval.high if interval else None,
            p=p,
            p_against=p_against,
            p_against_adjusted=None,
            holds=p is not None and p < self.level,
            fails=False,
        )

    def _difference(self, name: str, *, factor: float = 1.0) -> Difference:
        return Difference(
            self.evidence.sample(str(self.claim.arm)), self.evidence.sample(name), self.evidence, factor
        )

    def _p_values(self, name: str) -> tuple[float | None, float | None]:
        """Return the p of the comparison with an arm for the claim, and that against it."""
        return self._beyond(name, self.claim.margin or 0.0)

    def _beyond(self, name: str, margin: float) -> tuple[float | None, float | None]:
        """Return one-sided p of: the arm is better by more than a margin; it is better by less."""
        sign = self.evidence.sign
        difference, bound = self._shifted(name, sign * margin)
        above, below = p_sides(difference.interval, bound)
        if difference.is_identical and bound == 0:
            return 1.0, 0.0  # exactly no difference: no advantage, and no test is needed to say so
        return (above, below) if sign > 0 else (below, above)

    def _shifted(self, name: str, margin: float) -> tuple[Difference, float]:
        """Return the difference and the bound that stand for a signed margin, whatever its unit."""
        if self.claim.margin_unit == "relative" and self.evidence.scale != LOG:
            return self._difference(name, factor=1 + margin), 0.0
        return self._difference(name), margin

    def _outcome(self, compared: Sequence[Compared]) -> tuple[Outcome, tuple[Reason, ...], str | None]:
        failing = [one for one in compared if one.fails]
        if all(one.holds for one in compared):
            return "supported", (), None
        if failing:
            own = [one for one in failing if one.role == "against"]
            worst = (own or failing)[0]
            return "refuted", (self._reason(worst) if own else "control",), None if own else worst.arm
        missing = [one for one in compared if not one.holds]
        own = [one for one in missing if one.role == "against"]
        reasons: list[Reason] = [] if own else ["control"]
        reasons.append("no variance" if any(one.p is None for one in missing) else "power")
        return "inconclusive", tuple(reasons), None if own else missing[0].arm

    def _reason(self, one: Compared) -> Reason:
        """Return whether the margin refutes the claim, or the arm is not better at all."""
        is_better = one.effect is not None and one.effect * self.evidence.sign > 0
        return "margin" if self.claim.margin and is_better else "effect"

    def _excludes_published(self, difference: Difference) -> bool | None:
        published = self.claim.published_effect
        if published is None:
            return None
        test = p_below if published > 0 else p_above
        p = test(difference.interval, published)
        return None if p is None else p < KINDS["superiority"].level

    def _seeds_needed(self, difference: Difference, effect: float | None) -> int | None:
        counts = self.claim.margin or self.claim.published_effect or effect
        spread = difference.spread
        if counts is None or spread is None or isinstance(self.evidence.scale, Logit):
            return None
        if self.claim.margin_unit == "relative" and self.evidence.scale != LOG:
            return None
        return seeds_needed(spread, math.log1p(counts) if self.evidence.scale == LOG else counts, level=self.level)

    @property
    def _effect_kind(self) -> EffectKind:
        return "relative change" if self.evidence.scale == LOG else "difference"

    def _note(self, compared: Sequence[Compared], excluded: bool | None) -> str:
        notes = []
        if excluded is not None:
            verb = "is excluded" if excluded else "is not excluded"
            size = f"{self.claim.published_effect:+g}".replace("-", "−")
            notes.append(f"an effect as large as published, {size}, {verb}")
            notes += (
                [] if all(one.holds for one in compared) else ["any advantage over all comparators is not shown"]
            )
        by_items = [one.arm for one in compared if self._is_by_items(one.arm)]
        if by_items:
            named = ", ".join(by_items)
            notes.append(f"against {named} rates do not vary over seeds: the interval is of one seed's items")
        return "; ".join(notes)

    def _is_by_items(self, name: str) -> bool:
        interval = self._difference(name).interval(0.95)
        return interval is not None and interval.method.startswith("Newcombe")


class Superiority(Comparative):
    """The arm is better than each comparator by more than the margin."""


class NonInferiority(Comparative):
    """The arm is worse than each comparator by less than the margin."""

    def _p_values(self, name: str) -> tuple[float | None, float | None]:
        return self._beyond(name, -(self.claim.margin or 0.0))

    def _reason(self, one: Compared) -> Reason:
        return "margin"


class Equivalence(Comparative):
    """The arm and `against` differ by less than the margin either way, and no control does so with `against`."""

    def _compared(self) -> tuple[Compared, ...]:
        own = _adjusted([self._one(name, is_control=False) for name in self.claim.against], self.level)
        return (*own, *(self._of_control(name) for name in self.claim.controls))

    def _p_values(self, name: str) -> tuple[float | None, float | None]:
        """Return the larger p of two one-sided tests, and the smaller p of lying beyond the margin."""
        margin = self.claim.margin or 0.0
        upper, high = self._shifted(name, margin)
        lower, low = self._shifted(name, -margin)
        beyond_high, below_high = p_sides(upper.interval, high)
        above_low, beyond_low = p_sides(lower.interval, low)
        inside, outside = [below_high, above_low], [beyond_high, beyond_low]
        beyond = min((p for p in outside if p is not None), default=None)
        return _largest(inside), beyond  # the two ways to lie beyond exclude each other

    def _reason(self, one: Compared) -> Reason:
        return "margin"

    def _of_control(self, name: str) -> Compared:
        """Return whether a control is as near to `against` as the arm is claimed to be."""
        asked = Equivalence(replace(self.evidence, claim=replace(self.claim, arm=name, controls=()), _samples={}))
        (found,) = asked._compared()
        return replace(found, arm=name, role="control", holds=not found.holds, fails=found.holds)


def _adjusted(raw: Sequence[Compared], level: float) -> tuple[Compared, ...]:
    """Return the comparisons with Holm's adjustment of what speaks against the claim."""
    adjusted = holm([1.0 if one.p_against is None else one.p_against for one in raw])
    return tuple(
        replace(
            one,
            p_against_adjusted=None if one.p_against is None else p,
            fails=one.p_against is not None and p < level,
        )
        for one, p in zip(raw, adjusted, strict=True)
    )


def _largest(p_values: Sequence[float | None]) -> float | None:
    """Return the largest p, which decides an intersection-union test; None if one has no test."""
    known = [p for p in p_values if p is not None]
    return max(known) if known and len(known) == len(p_values) else None
