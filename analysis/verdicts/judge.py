"""Judges the claims of a study from its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Protocol

from analysis.claims.claim import STEP, Claim
from analysis.claims.kinds import KINDS, Kind
from analysis.records.description import ArmInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.verdicts.comparisons import Equivalence, NonInferiority, Superiority
from analysis.verdicts.evidence import Evidence, Fields
from analysis.verdicts.factorial import Factorial
from analysis.verdicts.series import Association, Flatness, ResponseCurve, Trend
from analysis.verdicts.single_arms import FailureRate, ReceiptQuantity, Threshold, Within
from analysis.verdicts.verdict import Declared, Finding, Reason, Verdict
from analysis.verdicts.zones import zone_of

SMOKE = "smoke"
"""The scale whose results settle nothing: its models show that a study runs."""


class Judge(Protocol):
    """Judges the claims of one kind."""

    def __init__(self, evidence: Evidence) -> None: ...

    def needs(self) -> tuple[str, ...]:
        """Return the arms whose results it is judged by."""

    def judge(self) -> Finding:
        """Judge the values; every arm that is needed has ended with its metric."""


JUDGES: Mapping[Kind, type[Judge]] = {
    "superiority": Superiority,
    "pairwise": Superiority,
    "non_inferiority": NonInferiority,
    "equivalence": Equivalence,
    "threshold": Threshold,
    "interval": Within,
    "trend": Trend,
    "flatness": Flatness,
    "response_curve": ResponseCurve,
    "association": Association,
    "factorial": Factorial,
    "failure_rate": FailureRate,
    "receipt": ReceiptQuantity,
}

_SCALES = ("smoke", "laptop", "gpu", "paper")


def judge_all(
    state: JournalState,
    claims: Sequence[Claim] | None = None,
    fields: Fields | None = None,
    *,
    journal_sha256: str | None = None,
) -> list[Verdict]:
    """Judge claims from one journal.

    Args:
        state: The journal, with a description of its sweep.
        claims: As declared today, arms may be patterns; those that the journal describes if None.
        fields: Source of configuration fields that arms do not differ in; if None, the journal's own only.
        journal_sha256: Of the journal's text.

    Raises:
        ValueError: If the journal has no description of a sweep.
    """
    if state.sweep is None:
        raise ValueError("the journal has no `sweep` line, so nothing says what its numbers mean")
    read = fields or _own_fields
    given = state.sweep.claims if claims is None else claims
    return [_judge(with_arms(claim, state.sweep), state, state.sweep, read, journal_sha256) for claim in given]


def not_run(claim: Claim, study: str, scale: str) -> Verdict:
    """Return the verdict on a claim of a study that has no results at this scale."""
    finding = Finding(outcome="not run", because=("not run",), note="the study has no results at this scale")
    return _verdict(claim, finding, study=study, scale=scale, declared="before the data", sha256=None)


def with_arms(claim: Claim, sweep: SweepInfo) -> Claim:
    """Return the claim with patterns such as `K*_N32` replaced by the journal's arms; other names stay as they
    are."""
    known = [arm.arm for arm in sweep.arms]

    def named(names: tuple[str, ...]) -> tuple[str, ...]:
        found = []
        for name in names:
            matching = [name] if name in known else [arm for arm in known if fnmatchcase(arm, name)]
            found += matching or [name]
        return tuple(dict.fromkeys(found))

    return replace(claim, arms=named(claim.arms), against=named(claim.against), controls=named(claim.controls))


def _own_fields(arm: ArmInfo) -> Mapping[str, Any]:
    return arm.parameters


def _judge(claim: Claim, state: JournalState, sweep: SweepInfo, fields: Fields, sha256: str | None) -> Verdict:
    evidence = Evidence(claim, state, sweep, fields)
    judge = JUDGES[claim.kind](evidence)
    finding = _obstacle(judge, evidence) or judge.judge()
    found = _verdict(
        claim,
        finding,
        study=sweep.study,
        scale=sweep.scale,
        declared=_declared(claim, judge.needs(), state, sweep),
        sha256=sha256,
    )
    found = replace(found, core_hours=_core_hours(judge.needs(), evidence))
    return found if finding.effect is None else replace(found, unit=evidence.unit, zone=zone_of(evidence))


def _core_hours(needed: Sequence[str], evidence: Evidence) -> float | None:
    """Return the CPU time of the replicates of the needed arms, each once."""
    arms = [arm for name in needed if (arm := evidence.arm(name)) is not None]
    keys = {(arm.config_id, seed) for arm in arms for seed in arm.seeds}
    spent = [r.cpu_seconds for key in keys if (r := evidence.state.replicates.get(key)) is not None]
    known = [seconds for seconds in spent if seconds is not None]
    if len(arms) < len(needed) or not keys or len(known) < len(keys):
        return None
    return sum(known) / 3600


def _verdict(
    claim: Claim, finding: Finding, *, study: str, scale: str, declared: Declared, sha256: str | None
) -> Verdict:
    is_settled = _reaches(scale, claim.settled_at)
    caveats: list[Reason] = []
    if finding.outcome != "not run":
        caveats += [] if is_settled else ["scale"]
        caveats += [] if declared == "before the data" else ["declared after"]
    return Verdict(
        study=study,
        scale=scale,
        id=claim.id,
        statement=claim.statement,
        source=claim.source,
        fidelity=claim.fidelity,
        kind=claim.kind,
        metric=claim.metric,
        unit=None,
        arms=claim.arms or ((claim.arm,) if claim.arm else ()),
        against=claim.against,
        verdict=finding.outcome,
        because=(*finding.because, *caveats),
        is_settled=is_settled and finding.outcome in {"supported", "refuted"},
        settled_at=claim.settled_at,
        effect=finding.effect,
        effect_kind=finding.effect_kind,
        ci_low=finding.ci_low,
        ci_high=finding.ci_high,
        zone=None,
        confidence=KINDS[claim.kind].confidence,
        n=finding.n,
        p=finding.p,
        p_adjusted=finding.p_adjusted,
        margin=claim.margin,
        margin_unit=claim.margin_unit,
        control=finding.control,
        seeds_needed=finding.seeds_needed,
        published_effect=claim.published_effect,
        excludes_published=finding.excludes_published,
        declared=declared,
        claim_hash=claim.hash,
        journal_sha256=sha256,
        core_hours=None,
        comparisons=finding.comparisons,
        note=finding.note,
    )


def _reaches(scale: str, settled_at: str) -> bool:
    """Return whether results of a scale can settle a claim; a scale of a user's own settles its own claims only."""
    if scale in _SCALES and settled_at in _SCALES:
        return _SCALES.index(scale) >= _SCALES.index(settled_at)
    return scale == settled_at


def _obstacle(judge: Judge, evidence: Evidence) -> Finding | None:
    """Return why the values are not judged; None if they can be."""
    sweep, needed = evidence.sweep, judge.needs()
    if sweep.scale == SMOKE:
        return Finding(
            outcome="not run", because=("scale",), note="scale smoke shows that a study runs, nothing else"
        )
    absent = [name for name in needed if evidence.arm(name) is None]
    if absent:
        return Finding(outcome="not run", because=("not run",), note=f"not in this journal: {', '.join(absent)}")
    if evidence.claim.kind != "receipt":
        known = {metric.name for metric in sweep.all_metrics}
        unknown = [name for name in evidence.claim.metric_names if not _is_known(name, sweep, known)]
        if unknown:
            note = f"not measured in this journal: {', '.join(unknown)}"
            return Finding(outcome="not run", because=("not measured",), note=note)
    unplaced = _without_a_place(evidence, needed)
    if unplaced:
        note = f"this journal does not say the {evidence.claim.over} of {', '.join(unplaced)}"
        return Finding(outcome="not run", because=("not measured",), note=note)
    return _shortfall(judge, evidence, needed)


def _without_a_place(evidence: Evidence, needed: Sequence[str]) -> list[str]:
    """Return the arms without a number in the field along which the claim runs: they would count as elsewhere."""
    claim = evidence.claim
    if claim.over is None or claim.over == STEP or claim.is_over_metric:
        return []
    return [name for name in needed if not isinstance(evidence.field_over(name, claim.over), int | float)]


def _is_known(name: str, sweep: SweepInfo, known: set[str]) -> bool:
    try:
        return sweep.metric(name).name in known or name not in known
    except KeyError:
        return False


def _shortfall(judge: Judge, evidence: Evidence, needed: Sequence[str]) -> Finding | None:
    samples = {name: evidence.sample(name) for name in needed}
    unrun = [name for name, sample in samples.items() if not any(r.has_ended for r in sample.replicates)]
    if unrun:
        return Finding(outcome="not run", because=("not run",), note=f"no results yet: {', '.join(unrun)}")
    reasons: list[Reason] = []
    counts_failures = evidence.claim.kind in {"failure_rate", "receipt"}
    lost = {
        name: s.shortfall for name, s in samples.items() if s.num_failed - s.statuses["diverged"] * counts_failures
    }
    reasons += ["failures"] if lost and evidence.claim.kind != "receipt" else []
    waiting = {name: s.shortfall for name, s in samples.items() if s.num_open or s.num_pruned}
    reasons += ["incomplete"] if waiting else []
    optional = set(evidence.claim.controls)
    silent = [name for name, s in samples.items() if not s.is_measured and name not in optional]
    reasons += ["not measured"] if silent and not counts_failures else []
    if not reasons:
        return None
    told = {**lost, **waiting, **{name: samples[name].shortfall for name in silent}}
    note = "; ".join(f"{name}: {why}" for name, why in told.items() if why)
    return Finding(outcome="inconclusive", because=tuple(reasons), note=note)


def _declared(claim: Claim, needed: Sequence[str], state: JournalState, sweep: SweepInfo) -> Declared:
    """Return whether the claim, in this form, was described by a driver before the first result of its arms."""
    declared_at = state.declared_at.get(claim.hash)
    if declared_at is None:
        return "after the data"
    keys = {(arm.config_id, seed) for arm in sweep.arms if arm.arm in needed for seed in arm.seeds}
    ran = [replicate for key, replicate in state.replicates.items() if key in keys]
    times = [point.time for replicate in ran for point in replicate.reports[:1]]
    times += [replicate.ended_at for replicate in ran if replicate.ended_at is not None]
    if not times or declared_at <= min(times):
        return "before the data"
    compact = sweep.provenance.get("compact", {})
    return "unknown" if compact.get("drivers", 1) > 1 and "declared_at" not in compact else "after the data"
