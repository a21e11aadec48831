"""What a verdict says, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.claims.kinds import Fidelity, Kind, MarginUnit

Outcome = Literal["supported", "refuted", "inconclusive", "not run"]
"""`supported`: every comparison of the claim holds. `refuted`: what it says is shown to be false, or is shown as
well by a control. `inconclusive`: neither. `not run`: the journal has no results of its arms that could settle
anything."""

Reason = Literal[
    "effect", "control", "margin", "failures", "power", "no variance", "incomplete", "not measured", "not run",
    "scale", "declared after",
]  # fmt: skip
"""`effect`: by the claim's own comparison. `control`: by a model without the mechanism. `margin`: by the margin.
`failures`: replicates failed. `power`: the seeds do not separate it. `no variance`: nothing varies over seeds, so
there is no test. `incomplete`: seeds are still to run. `not measured`: an arm does not report the metric. `scale`:
it settles nothing at this scale. `declared after`: the claim is not known to have been declared before its data."""

Declared = Literal["before the data", "after the data", "unknown"]
"""When a claim was declared, in this form, by the journal. `unknown`: the compact journal of several drivers kept
the newest description only."""

EffectKind = Literal[
    "difference", "relative change", "value", "change over the range", "slope", "correlation", "share"
]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One comparison of a claim. Values that do not exist are None."""

    arm: str
    """What is compared with, or which control is asked whether it shows the same."""
    role: Literal["against", "control"]
    n: int
    """Pairs of seeds; of a control by itself, its seeds."""
    effect: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    """One-sided, that the claim's side of it does not hold; None where there is no test."""
    p_against: float | None
    """One-sided, that the opposite does not hold: small if the comparison refutes the claim."""
    p_against_adjusted: float | None
    """Holm-adjusted over the comparisons of the claim."""
    holds: bool
    """Whether it supports the claim; of a control by itself, whether it does not show the same."""
    fails: bool
    """Whether it refutes the claim."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the values say, whatever the scale and whenever the claim was declared."""

    outcome: Outcome
    because: tuple[Reason, ...] = ()
    effect: float | None = None
    effect_kind: EffectKind | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int = 0
    p: float | None = None
    p_adjusted: float | None = None
    control: str | None = None
    """The control that decides, if one does."""
    seeds_needed: int | None = None
    excludes_published: bool | None = None
    comparisons: tuple[Compared, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one journal says of one claim."""

    study: str
    scale: str
    id: str
    statement: str
    source: str
    fidelity: Fidelity
    kind: Kind
    metric: str | None
    """What is judged; `a - b` is a difference within each replicate. None of failures."""
    unit: str | None
    """Of the effect; None if it has none, or nothing is judged."""
    arms: tuple[str, ...]
    """What the claim is about."""
    against: tuple[str, ...]
    verdict: Outcome
    because: tuple[Reason, ...]
    is_settled: bool
    """Whether the scale can settle the claim; at a smaller one the verdict only indicates."""
    settled_at: str
    effect: float | None
    """The estimate that is judged: of a comparison, `arm` − `against`."""
    effect_kind: EffectKind | None
    ci_low: float | None
    ci_high: float | None
    zone: tuple[float | None, float | None] | None
    """Lowest and highest effect, without them, that support the claim, null for no end; null if nothing is
    judged, or if the zone depends on more than the claim."""
    confidence: float
    """Coverage of the interval: 1 − 2 · the one-sided level of the kind."""
    n: int
    p: float | None
    """One-sided, for the claim."""
    p_adjusted: float | None
    """The smallest one-sided p against the claim, Holm-adjusted over its comparisons."""
    margin: float | None
    margin_unit: MarginUnit | None
    control: str | None
    seeds_needed: int | None
    """Pairs of seeds that find the effect that counts (margin, or published, or seen) with power .8 at the spread
    seen; None where no spread or no such effect is known."""
    published_effect: float | None
    excludes_published: bool | None
    """Whether an effect as large as published is excluded, one-sided at .025; None if none was published or there
    is no test."""
    declared: Declared
    claim_hash: str
    journal_sha256: str | None
    """Of the journal's text; None if it was not read from files."""
    core_hours: float | None
    """CPU time of the replicates that it is judged by; claims share replicates, so these do not add up. None where
    one of them has not ended, or the journal lacks its CPU time."""
    comparisons: tuple[Compared, ...]
    note: str


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What journals say of the claims of one study, or of several."""

    study: str | None
    """None: of several."""
    scale: str
    claims: tuple[Verdict, ...]
