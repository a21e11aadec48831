"""Where the effect of a claim must lie for it to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analysis.claims.claim import Claim
from analysis.claims.kinds import Kind
from analysis.statistics.transforms import LOG
from analysis.verdicts.evidence import Evidence

Zone = tuple[float | None, float | None]
"""Lowest and highest value, without them; None where there is no end."""


def zone_of(evidence: Evidence) -> Zone | None:
    """Return the values of the effect that support a claim; None if they depend on more than the claim says.

    A relative margin of a metric that is compared by differences is one such: it is a share of the other arm's
    value.
    """
    claim = evidence.claim
    if claim.margin and claim.margin_unit == "relative" and evidence.scale != LOG:
        return None
    return _ZONES[claim.kind](claim, evidence)


def _beyond(value: float, sign: int) -> Zone:
    return (value + 0.0, None) if sign > 0 else (None, value + 0.0)  # + 0.0: no −0


def _better(claim: Claim, evidence: Evidence) -> Zone:
    return _beyond(evidence.sign * (claim.margin or 0.0), evidence.sign)


def _not_worse(claim: Claim, evidence: Evidence) -> Zone:
    return _beyond(-evidence.sign * (claim.margin or 0.0), evidence.sign)


def _within_margin(claim: Claim, _: Evidence) -> Zone:
    margin = claim.margin or 0.0
    return -margin, margin


def _beyond_bound(claim: Claim, _: Evidence) -> Zone:
    return _beyond(claim.bound or 0.0, _side(claim))


def _within_bounds(claim: Claim, _: Evidence) -> Zone | None:
    return claim.bounds


def _one_side_of_zero(claim: Claim, _: Evidence) -> Zone:
    return _beyond(0.0, _side(claim))


def _of_contrast(claim: Claim, _: Evidence) -> Zone | None:
    return None if claim.direction is None else _beyond(_side(claim) * (claim.margin or 0.0), _side(claim))


def _side(claim: Claim) -> int:
    return -1 if claim.direction == "lower" else 1


_ZONES: Mapping[Kind, Callable[[Claim, Evidence], Zone | None]] = {
    "superiority": _better,
    "pairwise": _better,
    "non_inferiority": _not_worse,
    "equivalence": _within_margin,
    "threshold": _beyond_bound,
    "interval": _within_bounds,
    "trend": _one_side_of_zero,
    "flatness": _within_margin,
    "response_curve": _within_bounds,
    "association": _one_side_of_zero,
    "factorial": _of_contrast,
    "failure_rate": _beyond_bound,
    "receipt": _beyond_bound,
}
