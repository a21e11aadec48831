"""Transforms under which a metric is taken to be normal over seeds, and the way back to the metric's unit.

A rate, such as the fraction of needles found, is counted over the items of one seed, `Logit.items`. Items are
nested in their seed: their scatter says how precisely *one* seed's rate is known, never how much seeds differ. So
a seed's rate enters as one number, and items of several seeds are never pooled.

Of a perplexity the mean is geometric, because an interval of logarithms is that of a geometric mean. Of a rate
the mean is the plain average, which is what readers take a mean for; only interval and test use logits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

_RELATIVE_ROUNDING = 1e-12
"""A spread below this fraction of the values themselves is floating-point rounding, not variation."""

FEW = 3
"""Hits (or misses) of a seed below which its logit is dominated by the half hit that is added to them."""

FAR_APART = 1.0
"""Standard deviation of the seeds' logits beyond which an interval is not called one of the average rate."""

_ANGLES = 4096
"""Points on the edge of an ellipse; its extremes are missed by less than 3e-7 of its size."""


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval."""

    low: float
    high: float
    method: str
    note: str = ""
    """Caveats about how it was computed; empty if there are none."""


class JointMeans(NamedTuple):
    """Transformed means of two arms, and their joint confidence region: an ellipse around (treatment, baseline)."""

    treatment: float
    baseline: float
    treatment_reach: float
    """Student's quantile times the standard error of the treatment's mean."""
    baseline_reach: float
    correlation: float
    """Correlation of the two means; 0 if the arms share no seeds."""


class Transform(ABC):
    """A transform of a metric, with its inverse."""

    suffix: ClassVar[str] = ""
    """Appended to the name of a test on transformed values."""
    is_coarse: ClassVar[bool] = False
    """Whether different models can score exactly the same on every seed, such as no hit at all."""

    def forward(self, values: Sequence[float]) -> np.ndarray:
        """Transform values.

        Raises:
            ValueError: If there are none, one is not finite, or one lies outside the transform's domain.
        """
        array = np.asarray(values, dtype=float)
        if array.ndim != 1 or array.size == 0:
            raise ValueError("needs at least one value, in one dimension")
        if not np.isfinite(array).all():
            raise ValueError("a value is not finite: a diverged replicate is a failure, never part of a mean")
        return self._forward(array)

    def mean(self, values: Sequence[float]) -> float:
        """Return the mean over seeds, back in the metric's unit."""
        return self.back(float(self.forward(values).mean()))

    def difference(self, treatment: Sequence[float], baseline: Sequence[float]) -> float:
        """Return the difference between the means of two arms, as `change` defines it."""
        return self.change(float(self.forward(treatment).mean()), float(self.forward(baseline).mean()))

    def interval(
        self, bounds: tuple[float, float] | None, values: Sequence[float], confidence: float
    ) -> Interval | None:
        """Transform the t-interval of a mean back to the metric's unit.

        Args:
            bounds: The interval of transformed values; None if the values do not vary.
            values: The values it was computed from.
            confidence: Its coverage.

        Returns:
            The interval; None if there is none, or a bound exceeds every float.
        """
        if bounds is None:
            return None
        try:
            low, high = self.back(bounds[0]), self.back(bounds[1])
        except OverflowError:
            return None
        return Interval(low, high, f"t{self.suffix}") if math.isfinite(low) and math.isfinite(high) else None

    def difference_interval(
        self, bounds: tuple[float, float], joint: JointMeans, test: str, *, difference: float
    ) -> Interval | None:
        """Transform the interval of a difference back to the unit of `change`.

        Args:
            bounds: The test's own interval of the difference of the two transformed means.
            joint: The joint confidence region of both means, from the same test.
            test: Name of the test.
            difference: The difference beside which the interval is shown; it lies within.

        Returns:
            The interval; None if a bound overflows. It contains 0 exactly where the test does not reject, and where
            averages of rates differ one way and logits the other (`inference.Comparison.is_contradictory`).
        """
        try:
            low, high = self._change_bounds(bounds, joint)
        except OverflowError:
            return None
        low, high = min(low, difference), max(high, difference)
        return Interval(low, high, f"{test}{self.suffix}") if math.isfinite(low) and math.isfinite(high) else None

    @abstractmethod
    def back(self, mean: float) -> float:
        """Transform a mean back to the metric's unit."""

    @abstractmethod
    def change(self, treatment: float, baseline: float) -> float:
        """Return the difference between two transformed means, in the unit that tables show."""

    @abstractmethod
    def _forward(self, array: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _change_bounds(self, bounds: tuple[float, float], joint: JointMeans) -> tuple[float, float]: ...


@dataclass(frozen=True)
class Linear(Transform):
    """The identity; arms are compared by the difference."""

    def back(self, mean: float) -> float:
        """Return the arithmetic mean as it is."""
        return mean

    def change(self, treatment: float, baseline: float) -> float:
        """Return the difference."""
        return treatment - baseline

    def _forward(self, array: np.ndarray) -> np.ndarray:
        return array

    def _change_bounds(self, bounds: tuple[float, float], joint: JointMeans) -> tuple[float, float]:
        return bounds


@dataclass(frozen=True)
class Log(Transform):
    """Logarithms, for multiplicative metrics such as perplexity; arms are compared by the relative change."""

    suffix: ClassVar[str] = " on the log scale"

    def back(self, mean: float) -> float:
        """Return the geometric mean.

        Raises:
            OverflowError: If it exceeds every float.
        """
        return math.exp(mean)

    def change(self, treatment: float, baseline: float) -> float:
        """Return the relative change, .02 meaning 2 % more.

        Raises:
            OverflowError: If it exceeds every float.
        """
        return math.expm1(treatment - baseline)

    def _forward(self, array: np.ndarray) -> np.ndarray:
        if (array <= 0).any():
            raise ValueError("the log scale needs values above 0")
        logarithms: np.ndarray = np.log(array)
        return logarithms

    def _change_bounds(self, bounds: tuple[float, float], joint: JointMeans) -> tuple[float, float]:
        return math.expm1(bounds[0]), math.expm1(bounds[1])


@dataclass(frozen=True)
class Logit(Transform):
    """Jeffreys logits of rates: ln((k + ½)/(m − k + ½)) for k hits of m scored in a seed.

    The half hit keeps seeds without a hit finite and makes the logit nearly unbiased. Mean and difference are
    those of the plain rates. Interval and test are those of the mean logit, thus of the rate of a *typical* seed
    (the median seed, if logits are normal). Where seeds differ little that is the average too; where they differ
    much it is not, and the interval says so in its note.

    Source:
        Gart & Zweifel (1967), Biometrika 54:181-187, for the half hit.
    """

    items: int
    """Independent items of one seed, such as needles."""
    scored: int | None = None
    """What was counted of one seed, m, such as the tokens of all needles; None: the items themselves."""

    suffix: ClassVar[str] = " on the logit scale"
    is_coarse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.items < 1:
            raise ValueError(f"a rate is over at least 1 item, got {self.items}")
        if self.scored is not None and self.scored < self.items:
            raise ValueError(f"{self.items} items hold at least as many scored units, got {self.scored}")

    def mean(self, values: Sequence[float]) -> float:
        """Return the average rate."""
        self.forward(values)
        return float(np.mean(values))

    def difference(self, treatment: Sequence[float], baseline: Sequence[float]) -> float:
        """Return the difference of the average rates."""
        return self.mean(treatment) - self.mean(baseline)

    def back(self, mean: float) -> float:
        """Return the rate of a logit."""
        return 1 / (1 + math.exp(-mean)) if mean >= 0 else math.exp(mean) / (1 + math.exp(mean))

    def change(self, treatment: float, baseline: float) -> float:
        """Return the difference of the two rates."""
        return self.back(treatment) - self.back(baseline)

    def interval(
        self, bounds: tuple[float, float] | None, values: Sequence[float], confidence: float
    ) -> Interval | None:
        """Transform a t-interval back; for few hits or few misses, widen it to what the number of items allows.

        With fewer than `FEW` items hit a logit is dominated by the half hit that was added, and Student's t does
        not account for that error. The interval then also includes Clopper and Pearson's, for the mean hits among
        the items of *one* seed; if such seeds are all equal, as those without any hit, that is the only interval.

        Simulated at 1,000 items, 3 and 5 seeds, rates from .001 to .999 and a spread of logits up to 2, it covers
        the typical seed's rate in 93 % or more; at a tenth of a hit a seed and spread 2 in 89 %. The average of
        very many seeds is covered as often up to a spread of .3; at 1 in 89 % or more, at 2 in 60 to 93 %.
        """
        found = super().interval(bounds, values, confidence)
        array = np.asarray(values, dtype=float).clip(0, 1)
        hits = self.items * array
        fewest_hits, fewest_misses = float(hits.min()), float(self.items - hits.max())
        if min(fewest_hits, fewest_misses) >= FEW:
            return None if found is None else self._around(found, array)
        low, high = clopper_pearson(float(hits.mean()), self.items, confidence)
        exact = f"Clopper-Pearson on one seed's {self.items:,} items"
        what = "hits" if fewest_hits <= fewest_misses else "misses"
        if found is None:
            seen = "all seeds have the same few" if min(fewest_hits, fewest_misses) > 0 else "no seed has any"
            return Interval(low, high, exact, f"{seen} {what}: the interval is {exact}")
        method = f"{found.method}, widened to {exact}"
        note = f"a seed has fewer than {FEW} {what}: the interval is widened to {exact}"
        return self._around(Interval(min(low, found.low), max(high, found.high), method, note), array)

    def _around(self, found: Interval, array: np.ndarray) -> Interval:
        """Return the interval with the average in it, and a note if it is no interval of the average."""
        average = float(array.mean())
        notes = [found.note] if found.note else []
        if float(self._forward(array).std(ddof=1)) > FAR_APART:
            notes.append(
                f"seeds lie far apart, from {array.min():.3g} to {array.max():.3g}: the interval is of the typical "
                "seed's rate and covers their average less often"
            )
        return Interval(min(found.low, average), max(found.high, average), found.method, "; ".join(notes))

    def _forward(self, array: np.ndarray) -> np.ndarray:
        if array.min() < -_RELATIVE_ROUNDING or array.max() > 1 + _RELATIVE_ROUNDING:
            raise ValueError("a rate lies between 0 and 1")
        total = self.items if self.scored is None else self.scored
        hits = total * array.clip(0, 1)
        logits: np.ndarray = np.log((hits + 0.5) / (total - hits + 0.5))
        return logits

    def _change_bounds(self, bounds: tuple[float, float], joint: JointMeans) -> tuple[float, float]:
        """Return the smallest and the largest difference of two rates that both lie in the joint region.

        The same difference of logits means different differences of rates, depending on their level, and the
        level is uncertain too. The edge of the ellipse touches equal rates exactly where the test's p is its level.
        Few hits need no widening here: the half hits of two arms cancel. Simulated at 3 and 5 seeds, rates from
        .001 to .9 and a spread of logits up to 2, it covers the difference of the typical seeds in 91 to 99.8 %;
        least where a very high rate meets a very low one at 3 seeds.
        """
        angle_A = np.linspace(-math.pi, math.pi, _ANGLES, endpoint=False)
        lag = math.acos(max(-1.0, min(1.0, joint.correlation)))
        treatment_A = joint.treatment + joint.treatment_reach * np.cos(angle_A)
        baseline_A = joint.baseline + joint.baseline_reach * np.cos(angle_A - lag)
        change_A = _rates(treatment_A) - _rates(baseline_A)
        return float(change_A.min()), float(change_A.max())


LINEAR, LOG = Linear(), Log()


def is_constant(values: np.ndarray, magnitude: np.ndarray | None = None) -> bool:
    """Return whether values vary by no more than rounding, relative to `magnitude` (themselves if None)."""
    reference = values if magnitude is None else magnitude
    return bool(np.ptp(values) <= _RELATIVE_ROUNDING * np.abs(reference).max())


def clopper_pearson(hits: float, items: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a rate from `hits` of `items` independent items; `hits` may be a fraction.

    Source:
        Clopper & Pearson (1934), Biometrika 26:404-413.
    """
    from scipy import special  # `scipy.stats` computes the same from these, but takes a second to import

    tail = (1 - confidence) / 2
    low = float(special.betaincinv(hits, items - hits + 1, tail)) if hits > 0 else 0.0
    high = float(special.betainccinv(hits + 1, items - hits, tail)) if hits < items else 1.0
    return low, high


def _rates(logits: np.ndarray) -> np.ndarray:
    from scipy import special

    rates: np.ndarray = special.expit(logits)
    return rates
