"""Two sweeps compared arm by arm: which fields differ, and the effect on a metric. Always B − A."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis.records.description import ArmInfo, MetricInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.results.arms import find_metric, transform_of
from analysis.results.comparison import (
    ComparisonSpec,
    Conclusion,
    Sample,
    adjust,
    compare,
    conclude,
    remarks_on,
    take_sample,
)
from analysis.statistics.inference import Comparison, mean, mean_interval
from analysis.statistics.transforms import LOG


@dataclass(frozen=True)
class Side:
    """One of the two sweeps."""

    title: str
    """Name that the user gave it."""
    state: JournalState
    sweep: SweepInfo
    """The newest description in `state`."""


@dataclass(frozen=True, kw_only=True)
class FieldDifference:
    """A field in which two configurations differ."""

    field: str
    """Dotted."""
    a: Any
    b: Any
    only_in: Literal["a", "b"] | None = None
    """Set if the other configuration has no such field; its value is None then."""


@dataclass(frozen=True, kw_only=True)
class ArmMean:
    """The score of one arm."""

    arm: str
    config_id: str
    n: int
    """Replicates finished with the metric."""
    mean: float | None
    """The average over seeds; geometric if the metric is log-transformed."""
    ci_low: float | None
    ci_high: float | None
    ci_method: str | None


@dataclass(frozen=True, kw_only=True)
class ComparedPair:
    """An arm of A and an arm of B. Values that do not exist are None, never NaN."""

    a: ArmMean
    b: ArmMean
    differing: tuple[FieldDifference, ...]
    n_pairs: int
    """Seeds that both arms finished."""
    delta: float | None
    """Mean of B − A over shared seeds, or over all seeds if the test is Welch's; see `delta_kind`."""
    delta_ci_low: float | None
    delta_ci_high: float | None
    p: float | None
    """Two-sided, unadjusted."""
    p_adjusted: float | None
    """Holm-adjusted over all pairs of the comparison."""
    method: Literal["paired t", "Welch t"] | None
    """Welch's if the arms were planned on disjoint seeds; None if there is nothing to compare."""
    reading: Conclusion
    """`better`: B is better than A."""
    same_data: bool | None
    """Whether both arms saw the same data (if not, they are not comparable); None if a journal does not say."""
    note: str
    """Caveats that a reader of the pair must know; empty if there are none."""


@dataclass(frozen=True, kw_only=True)
class ComparedSweeps:
    """All pairs of arms of two sweeps, for one metric."""

    a: str
    b: str
    metric: str
    unit: str
    direction: Literal["minimise", "maximise", "none"]
    meaning: str
    items: int | None
    """Items per seed if the metric is a rate, from A if it says so; otherwise None."""
    scored: int | None
    """What a rate counts in these items, such as tokens, if it is not the items themselves."""
    confidence: float
    delta_kind: Literal["difference", "relative"]
    pairs: tuple[ComparedPair, ...]
    only_a: tuple[str, ...]
    """Arms of A without a matching arm in B."""
    only_b: tuple[str, ...]


def match_arms(a: SweepInfo, b: SweepInfo) -> list[tuple[ArmInfo, ArmInfo]]:
    """Match the arms of two sweeps: equal configurations first, then equal names; each arm at most once."""
    pairs: list[tuple[ArmInfo, ArmInfo]] = []
    left = list(b.arms)
    for key in ("config_id", "arm"):
        for arm in a.arms:
            if any(arm is first for first, _ in pairs):
                continue
            match = next((other for other in left if getattr(other, key) == getattr(arm, key)), None)
            if match is not None:
                pairs.append((arm, match))
                left.remove(match)
    return sorted(pairs, key=lambda pair: a.arms.index(pair[0]))


def differing_fields(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[FieldDifference, ...]:
    """Return the fields that differ, in the order of `a`, then those that only `b` has."""
    found = []
    for field in dict.fromkeys((*a, *b)):
        if field not in b:
            found.append(FieldDifference(field=field, a=a[field], b=None, only_in="a"))
        elif field not in a:
            found.append(FieldDifference(field=field, a=None, b=b[field], only_in="b"))
        elif a[field] != b[field]:
            found.append(FieldDifference(field=field, a=a[field], b=b[field]))
    return tuple(found)


def compare_sweeps(
    a: Side,
    b: Side,
    pairs: Sequence[tuple[ArmInfo, ArmInfo]],
    differing: Sequence[tuple[FieldDifference, ...]],
    metric: str | None = None,
    *,
    confidence: float = 0.95,
) -> ComparedSweeps:
    """Compare arms of one sweep with arms of another, or of the same.

    Args:
        a: Sweep of the first arm of each pair.
        b: Sweep of the second arm of each pair.
        pairs: The pairs to compare; Holm's adjustment counts all of them.
        differing: The differing fields of each pair.
        metric: Name of the metric; A's primary one if None.
        confidence: Coverage of every interval, between 0 and 1.

    Raises:
        ValueError: If A or B has no such metric, or it has another unit or another direction in one of them.
    """
    name = metric or a.sweep.primary_metric
    info, other = find_metric(a.sweep, name), find_metric(b.sweep, name)
    _refuse_other_meaning(info, other, a, b)
    # An old journal does not say how many items a rate is taken over; the other side's may.
    asked = [
        ComparisonSpec(side, transform_of(side if side.items else beside), confidence)
        for side, beside in ((info, other), (other, info))
    ]
    spec = asked[0]
    samples = [(_sample(a, first, info), _sample(b, second, info)) for first, second in pairs]
    comparisons = [
        None if _same_data(first.arm, second.arm) is False else compare(second, first, spec)
        for first, second in samples
    ]
    adjusted = adjust([comparison.p if comparison else None for comparison in comparisons])
    return ComparedSweeps(
        a=a.title,
        b=b.title,
        metric=info.name,
        unit=info.unit,
        direction=info.direction,
        meaning=info.meaning,
        items=info.items or other.items,
        scored=info.scored or other.scored,
        confidence=confidence,
        delta_kind="relative" if spec.scale == LOG else "difference",
        pairs=tuple(
            _pair(*sample, fields, comparison, p_adjusted, asked)
            for sample, fields, comparison, p_adjusted in zip(
                samples, differing, comparisons, adjusted, strict=True
            )
        ),
        only_a=_unmatched(a.sweep, [first for first, _ in pairs]),
        only_b=_unmatched(b.sweep, [second for _, second in pairs]),
    )


def _refuse_other_meaning(a: MetricInfo, b: MetricInfo, side_a: Side, side_b: Side) -> None:
    for what in ("unit", "direction"):
        of_a, of_b = getattr(a, what), getattr(b, what)
        if of_a != of_b:
            raise ValueError(
                f"{a.name} cannot be compared: its {what} is {of_a} in {side_a.title} and {of_b} in "
                f"{side_b.title}; choose another with --metric"
            )


def _sample(side: Side, arm: ArmInfo, metric: MetricInfo) -> Sample:
    is_optional = metric.name not in {own.name for own in side.sweep.metrics}
    return take_sample(side.state, arm, metric.name, is_optional=is_optional)


def _unmatched(sweep: SweepInfo, matched: Sequence[ArmInfo]) -> tuple[str, ...]:
    return tuple(arm.arm for arm in sweep.arms if not any(arm is other for other in matched))


def _pair(
    first: Sample,
    second: Sample,
    differing: tuple[FieldDifference, ...],
    comparison: Comparison | None,
    p_adjusted: float | None,
    asked: Sequence[ComparisonSpec],
) -> ComparedPair:
    interval = comparison.interval if comparison else None
    same_data = _same_data(first.arm, second.arm)
    means = [_arm_mean(sample, spec) for sample, spec in zip((first, second), asked, strict=True)]
    conclusion: Conclusion = "not comparable"
    if same_data is not False:
        conclusion = conclude(second, first, comparison, p_adjusted, asked[0])
    return ComparedPair(
        a=means[0],
        b=means[1],
        differing=differing,
        n_pairs=len(first.values.keys() & second.values.keys()),
        delta=comparison.difference if comparison else None,
        delta_ci_low=interval.low if interval else None,
        delta_ci_high=interval.high if interval else None,
        p=comparison.p if comparison else None,
        p_adjusted=p_adjusted,
        method=comparison.method if comparison else None,
        reading=conclusion,
        same_data=same_data,
        note="; ".join(
            [
                *_remarks(first, second, same_data, differing),
                *remarks_on(second, first, comparison, conclusion, other="A"),
                *_of_other_code(first, second, comparison),
            ]
        ),
    )


def _arm_mean(sample: Sample, spec: ComparisonSpec) -> ArmMean:
    values = list(sample.values.values())
    interval = mean_interval(values, confidence=spec.confidence, scale=spec.scale)
    return ArmMean(
        arm=sample.arm.arm,
        config_id=sample.arm.config_id,
        n=len(values),
        mean=mean(values, scale=spec.scale) if values else None,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        ci_method=interval.method if interval else None,
    )


def _same_data(a: ArmInfo, b: ArmInfo) -> bool | None:
    return a.data_hash == b.data_hash if a.data_hash and b.data_hash else None


def _remarks(
    first: Sample, second: Sample, same_data: bool | None, differing: tuple[FieldDifference, ...]
) -> list[str]:
    """Return what is to be known of the two arms, whatever they score."""
    remarks = []
    if same_data is False:
        hashes = " and ".join(sample.arm.data_hash[:12] for sample in (first, second))
        remarks.append(f"NOT COMPARABLE: the arms saw different data ({hashes})")
    if same_data is None:
        remarks.append("whether the arms saw the same data is not recorded")
    if first.arm.config_id == second.arm.config_id:
        remarks.append("both are one configuration")
    elif not differing:
        ids = " and ".join(sample.arm.config_id for sample in (first, second))
        remarks.append(f"two configurations ({ids}): a base or a default has changed, or the version of their code")
    return remarks + [f"{side}: {s.shortfall}" for side, s in (("A", first), ("B", second)) if s.shortfall]


def _of_other_code(first: Sample, second: Sample, comparison: Comparison | None) -> list[str]:
    """Return how the comparison was made, and where the arms were computed differently."""
    remarks = []
    if comparison is not None and comparison.method == "Welch t":
        remarks.append("unpaired, by Welch's test: the arms were planned on disjoint seeds")
    numerics = _differing_numerics(first, second)
    if code := numerics.pop("code", ""):
        remarks.append(f"computed by different code: {code}")
    listed = ", ".join(f"{name} {values}" for name, values in numerics.items())
    return [*remarks, f"equal in law only, numerics differ: {listed}"] if listed else remarks


def _differing_numerics(first: Sample, second: Sample) -> dict[str, str]:
    """Return the numerics in which the replicates of two arms differ, as `{"threads": "1 | 2"}`."""
    a, b = (_numerics(sample) for sample in (first, second))
    shared = [name for name in a if name in b and a[name] != b[name]]
    return {name: f"{_join(a[name])} | {_join(b[name])}" for name in shared}


def _numerics(sample: Sample) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for replicate in sample.replicates:
        for attempt in replicate.attempts:
            for name, value in attempt.numerics.items():
                found.setdefault(name, set()).add(str(value))
    return found


def _join(values: set[str]) -> str:
    return "/".join(sorted(values))
