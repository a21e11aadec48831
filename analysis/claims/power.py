"""The smallest effect that a claim's test can detect with a given number of seeds, computed before anything is run.

The unit is the standard deviation over seeds of the tested quantity, because that needs no measurement.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from analysis.claims.claim import Claim
from analysis.claims.kinds import Kind
from analysis.statistics.inference import smallest_detectable_effect

LEVEL = 0.05
POWER = 0.8
MIN_CONFIGURATIONS = 4
"""Fisher's z has a standard error from four points on."""


@dataclass(frozen=True)
class DetectableEffect:
    """The smallest effect that a claim's test can detect."""

    value: float | None
    """None where no single number expresses it."""
    text: str
    """What `value` is, in words."""
    is_possible: bool = True
    """False if no result with so many seeds could be significant."""


def detectable_effect(claim: Claim, num_seeds: int, *, is_exact: bool = False) -> DetectableEffect:
    """Return what the test of `claim` can detect with `num_seeds` seeds.

    Args:
        claim: Its arms are names, not patterns.
        num_seeds: Seeds of every arm.
        is_exact: Whether its metric follows from the configuration alone.
    """
    if is_exact:
        return DetectableEffect(None, "follows from the configuration: one seed settles it")
    if claim.kind in _WITHOUT_INTERVALS:
        return _WITHOUT_INTERVALS[claim.kind](claim, num_seeds)
    if num_seeds < 2:
        return DetectableEffect(None, "one seed: no interval is attainable", is_possible=False)
    return _OVER_SEEDS[claim.kind](claim, num_seeds)


def _mean(_: Claim, num_seeds: int) -> DetectableEffect:
    half = _half_width(num_seeds, LEVEL)
    return DetectableEffect(half, f"± {half:.2f} sd is the interval of a mean")


def _two_sided(_: Claim, num_seeds: int) -> DetectableEffect:
    half = _half_width(num_seeds, 2 * LEVEL)
    return DetectableEffect(half, f"the margin must exceed {half:.2f} sd of the difference even if there is none")


def _one_sided(_: Claim, num_seeds: int) -> DetectableEffect:
    effect = smallest_detectable_effect(num_seeds, alpha=2 * LEVEL, power=POWER)
    return DetectableEffect(
        effect, f"passes with power {POWER:g} if the margin is {effect:.2f} sd of the difference"
    )


def _comparison(claim: Claim, num_seeds: int) -> DetectableEffect:
    comparisons = len(claim.against) + len(claim.controls) if claim.against else 1
    effect = smallest_detectable_effect(num_seeds, alpha=LEVEL, power=POWER)
    among = f", in each of {comparisons} comparisons" if comparisons > 1 else ""
    return DetectableEffect(effect, f"finds {effect:.2f} sd of the paired difference with power {POWER:g}{among}")


def _half_width(num_seeds: int, level: float) -> float:
    from scipy import special  # not `scipy.stats`, which takes a second to import

    return float(-special.stdtrit(num_seeds - 1, level / 2)) / math.sqrt(num_seeds)


def _failures(claim: Claim, num_seeds: int) -> DetectableEffect:
    """Clopper and Pearson's bound if all replicates agree: no result can be stronger."""
    extreme = (LEVEL / 2) ** (1 / num_seeds)
    if claim.direction == "higher":
        text = f"if all {num_seeds} fail, the rate is above {extreme:.2f}"
        value, reaches = extreme, extreme > (claim.bound or 0.0)
    else:
        text = f"if none of {num_seeds} fails, the rate is below {1 - extreme:.2f}"
        value, reaches = 1 - extreme, 1 - extreme < (claim.bound or 0.0)
    return DetectableEffect(value, text if reaches else f"{text}: not attainable", is_possible=reaches)


def _correlation(claim: Claim, _: int) -> DetectableEffect:
    """Smallest rank correlation over the configurations that is significant at the level, by Fisher's z."""
    from scipy import special

    count = len(claim.arms)
    if count < MIN_CONFIGURATIONS:
        return DetectableEffect(None, f"{count} configurations: no correlation is attainable", is_possible=False)
    z = -(special.ndtri(LEVEL / 2) + special.ndtri(1 - POWER)) / math.sqrt(count - 3)
    smallest = math.tanh(float(z))
    return DetectableEffect(smallest, f"finds a correlation of {smallest:.2f} over {count} configurations")


_WITHOUT_INTERVALS: dict[Kind, Callable[[Claim, int], DetectableEffect]] = {
    "receipt": lambda claim, num_seeds: DetectableEffect(None, "one receipt settles it"),
    "failure_rate": _failures,
    "association": _correlation,
    "response_curve": lambda claim, num_seeds: DetectableEffect(None, f"a curve through {len(claim.arms)} arms"),
}
_OVER_SEEDS: dict[Kind, Callable[[Claim, int], DetectableEffect]] = {
    "threshold": _mean,
    "interval": _mean,
    "equivalence": _two_sided,
    "flatness": _two_sided,
    "non_inferiority": _one_sided,
    "superiority": _comparison,
    "pairwise": _comparison,
    "trend": _comparison,
    "factorial": _comparison,
}
"""Power of tests on one value per seed: of an arm, of a difference of two, or of a slope or contrast over arms."""
