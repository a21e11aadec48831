"""What is printed of tests, selected results and order parameters, against chance."""

from __future__ import annotations

import math
from typing import Literal

from analysis.reported.printed import Printed
from analysis.statistics.expected_maximum import of_normals

LEVEL = 0.05


def p_of_t(
    p: Printed, t: Printed, df: float, sides: Literal[1, 2] = 2, relation: Literal["=", "<", ">"] = "="
) -> str | None:
    """A p is that of its t, whatever t rounds to it.

    Source:
        Nuijten et al. (2016), Behavior Research Methods 48:1205-1226: statcheck.
    """
    from scipy import special  # not `scipy.stats`, which takes a second to import

    def p_at(size: float) -> float:
        return sides * float(special.stdtr(df, -max(size, 0.0)))

    largest, smallest = p_at(abs(t.value) - t.half_unit), p_at(abs(t.value) + t.half_unit)
    fits = {"=": p.holds(smallest, largest), "<": smallest < p.value, ">": largest > p.value}
    if fits[relation]:
        return None
    tails = "two-sided" if sides == 2 else "one-sided"
    return f"t({df:g}) = {t.text} has p = {p_at(abs(t.value)):.4g} ({tails}), not p {relation} {p.text}"


def selected(gain: Printed, configurations: int, seeds: int, deviation: Printed | None = None) -> str | None:
    """A gain that was chosen as the largest of several exceeds what choosing alone gives.

    Args:
        gain: Of the best of the configurations, in any unit.
        configurations: From which it was chosen.
        seeds: Of each configuration.
        deviation: Standard deviation over seeds, in the unit of the gain; None if it is not known.
    """
    expected = of_normals(configurations)
    said = f"the best of {configurations} is {expected:.3f} standard errors above the average with no effect at all"
    if deviation is None:
        if seeds > 1:
            return None
        return f"{said}; {gain.text} is of one seed each, so that a standard error is not known"
    chance = expected * deviation.value / math.sqrt(seeds)
    return None if gain.value > chance else f"{said}, {chance:.3g} here: {gain.text} is no more than that"


def beyond_chance(value: Printed, phases: int, heads: int = 1) -> str | None:
    """An order parameter exceeds what random phases give in all but 5 % of cases.

    Args:
        value: Length of the mean of unit vectors, 0 to 1.
        phases: Of how many.
        heads: Angles between −π and π that were averaged, as numbers, to one phase before.
    """
    if heads == 1:
        p = math.exp(-phases * value.value**2)
        chance = f"{phases} random phases exceed it in {100 * p:.1f} % of cases"
        return None if p < LEVEL else f"R = {value.text}: {chance}"
    mean, deviation = _of_averaged_angles(phases, heads)
    z = (value.value - mean) / deviation
    if z > _QUANTILE:
        return None
    return (
        f"R = {value.text} is {z:.2f} standard deviations from chance: {phases} random phases give {mean:.3f} ± "
        f"{deviation:.3f} if each is the average of {heads} angles"
    )


_QUANTILE = 1.6449
"""Of the normal distribution at 1 − `LEVEL`."""


def _of_averaged_angles(phases: int, heads: int) -> tuple[float, float]:
    """Return mean and deviation of R over phases that are averages of uniform angles, to first order in 1/phases.

    The mean of e^{ikθ} over θ = the average of h uniform angles is (sin(kπ/h) / (kπ/h))^h.
    """
    first, second = ((math.sin(k * math.pi / heads) / (k * math.pi / heads)) ** heads for k in (1, 2))
    along, across = (1 + second) / 2 - first**2, (1 - second) / 2
    return math.sqrt(first**2 + across / phases), math.sqrt(along / phases)
