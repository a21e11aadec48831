"""Intervals and comparisons over seeds: the only place where a p-value or an interval is computed.

The unit of replication is the seed. Student-t is used at every n: below 15 seeds the percentile
bootstrap undercovers badly (at n = 3 it is just [min, max], coverage .74), and from 15 on the two agree.
Metrics that multiply (perplexity) are treated on the log scale and transformed back.

A spread of zero has no Student-t interval and no p-value. Such cases are answered with None, never with
an interval of no width: that would claim certainty from a metric that merely is coarse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Scale = Literal["linear", "log"]
"""Scale on which a metric's errors are taken to be normal."""

_RELATIVE_ROUNDING = 1e-12
"""A spread below this share of the values themselves is floating-point rounding, not variation."""


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval."""

    low: float
    high: float
    method: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much a treatment changes a metric against a baseline."""

    n: int
    """Pairs of seeds; for Welch's test the size of the smaller group."""
    difference: float
    """Mean of treatment − baseline; on the log scale the relative change, .02 meaning 2 % more."""
    interval: Interval | None
    p: float | None
    """Two-sided; None where no t-test exists."""
    method: Literal["paired t", "Welch t"]
    seed_correlation: float | None = None
    """Correlation of the arms over seeds; pairing helps only if positive. None below 3 pairs."""
    identical: bool = False
    """Every pair is exactly equal: the treatment did nothing."""


def mean(values: Sequence[float], *, scale: Scale = "linear") -> float:
    """Return the mean; on the log scale the geometric mean.

    Raises:
        ValueError: If there are no values, one is not finite, or the log scale meets one ≤ 0.
    """
    return _back(float(np.mean(_forward(values, scale))), scale)


def standard_deviation(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n − 1 in the denominator); None below two values."""
    return float(np.std(values, ddof=1)) if len(values) >= 2 else None


def mean_interval(values: Sequence[float], *, confidence: float = 0.95, scale: Scale = "linear") -> Interval | None:
    """Estimate the mean over seeds with a Student-t interval.

    Args:
        values: One value a seed.
        confidence: Coverage, between 0 and 1.
        scale: "log" for metrics that multiply, such as perplexity.

    Returns:
        The interval, or None where there is none: fewer than two values, values that do not vary, or
        values so far apart on the log scale that a bound exceeds every float.

    Raises:
        ValueError: If a value is not finite, or the log scale meets a value ≤ 0.
    """
    from scipy import stats

    _check_confidence(confidence)
    if len(values) < 2:
        return None
    y = _forward(values, scale)
    if _is_constant(y, y):
        return None
    low, high = stats.t.interval(confidence, y.size - 1, loc=y.mean(), scale=stats.sem(y))
    return _interval(float(low), float(high), "t", scale, back=_back)


def paired_comparison(
    treatment: Sequence[float],
    baseline: Sequence[float],
    *,
    confidence: float = 0.95,
    scale: Scale = "linear",
) -> Comparison:
    """Compare two arms that share their seeds, by the paired t-test.

    Args:
        treatment: One value a seed.
        baseline: The same seeds in the same order.
        confidence: Coverage of the interval, between 0 and 1.
        scale: "log" compares ratios and returns the relative change.

    Returns:
        The comparison. Interval and p are None below two pairs and where all differences are equal
        but not zero; where all are zero, p is 1 and `identical` is set.

    Raises:
        ValueError: If the lengths differ, are 0, or a value is unusable.
    """
    from scipy import stats

    _check_confidence(confidence)
    if len(treatment) != len(baseline):
        raise ValueError(f"pairs need equal lengths, got {len(treatment)} and {len(baseline)}")
    a, b = _forward(treatment, scale), _forward(baseline, scale)
    difference = _back_difference(float(np.mean(a - b)), scale)
    is_constant = _is_constant(a - b, np.concatenate([a, b]))
    identical = a.size >= 2 and bool(np.all(a == b))
    test = None if a.size < 2 or is_constant else stats.ttest_rel(a, b)
    p = 1.0 if identical else None
    return Comparison(
        n=a.size,
        difference=difference,
        interval=_test_interval(test, confidence, "paired t", scale) if test else None,
        p=float(test.pvalue) if test else p,
        method="paired t",
        seed_correlation=_correlation(a, b),
        identical=identical,
    )


def welch_comparison(
    treatment: Sequence[float],
    baseline: Sequence[float],
    *,
    confidence: float = 0.95,
    scale: Scale = "linear",
) -> Comparison:
    """Compare two arms that share no seeds, by Welch's t-test (unequal variances).

    Args:
        treatment: One value a seed.
        baseline: Values of other seeds; the length may differ.
        confidence: Coverage of the interval, between 0 and 1.
        scale: "log" compares ratios and returns the relative change.

    Returns:
        The comparison. Interval and p are None if an arm has fewer than two values or neither varies.

    Raises:
        ValueError: If an arm is empty or a value is unusable.

    Source:
        Colas, Sigaud & Oudeyer (2019), arXiv:1904.06979: Welch as the default for unpaired seeds.
    """
    from scipy import stats

    _check_confidence(confidence)
    a, b = _forward(treatment, scale), _forward(baseline, scale)
    n = min(a.size, b.size)
    difference = _back_difference(float(a.mean() - b.mean()), scale)
    if n < 2 or _is_constant(a, a) or _is_constant(b, b):
        # With one constant arm Welch's formula still gives a number, but rests on one sample's spread.
        return Comparison(n=n, difference=difference, interval=None, p=None, method="Welch t")
    test = stats.ttest_ind(a, b, equal_var=False)
    return Comparison(
        n=n,
        difference=difference,
        interval=_test_interval(test, confidence, "Welch t", scale),
        p=float(test.pvalue),
        method="Welch t",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of any false rejection among them stays below the level.

    Returns:
        Adjusted values in the order given, at most 1.

    Raises:
        ValueError: If a p-value is outside [0, 1].

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6:65-70.
    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values lie in [0, 1], got {list(p_values)}")
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def smallest_detectable_effect(n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the mean paired difference that a paired t-test finds with probability `power`.

    Args:
        n: Pairs of seeds, at least 2.
        alpha: Two-sided level.
        power: Chance of finding it, at least .5 and below 1.

    Returns:
        The effect in standard deviations of the paired differences.

    Raises:
        ValueError: If n < 2, or alpha or power is out of range.
    """
    from scipy import special, stats

    if n < 2:
        raise ValueError(f"a paired t-test needs at least 2 pairs, got {n}")
    if not 0.5 <= power < 1 or not 0 < alpha < power:
        raise ValueError(f"needs 0 < alpha < power and .5 ≤ power < 1, got alpha {alpha}, power {power}")
    # The chance of rejecting in the wrong direction (below 1e-6 at power .8) is left out.
    noncentrality = special.nctdtrinc(n - 1, 1 - power, stats.t.isf(alpha / 2, n - 1))
    return float(noncentrality) / math.sqrt(n)


def _forward(values: Sequence[float], scale: Scale) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0:
        raise ValueError("needs at least one value, in one dimension")
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite: a diverged replicate is a failure, never part of a mean")
    if scale == "linear":
        return array
    if (array <= 0).any():
        raise ValueError("the log scale needs values above 0")
    logarithms: np.ndarray = np.log(array)
    return logarithms


def _back(value: float, scale: Scale) -> float:
    return math.exp(value) if scale == "log" else value


def _back_difference(value: float, scale: Scale) -> float:
    return math.expm1(value) if scale == "log" else value


def _interval(
    low: float, high: float, test: str, scale: Scale, *, back: Callable[[float, Scale], float]
) -> Interval | None:
    try:
        bounds = back(low, scale), back(high, scale)
    except OverflowError:
        return None  # values so far apart that the bound exceeds every float
    return Interval(*bounds, f"{test} on the log scale" if scale == "log" else test)


def _is_constant(values: np.ndarray, magnitude: np.ndarray) -> bool:
    return bool(np.ptp(values) <= _RELATIVE_ROUNDING * np.abs(magnitude).max())


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if a.size < 3 or _is_constant(a, a) or _is_constant(b, b):
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _test_interval(test: Any, confidence: float, method: str, scale: Scale) -> Interval | None:
    low, high = test.confidence_interval(confidence)
    return _interval(float(low), float(high), method, scale, back=_back_difference)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1, got {confidence}")
