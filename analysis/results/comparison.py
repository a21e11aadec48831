"""How the planned replicates of two arms are compared: rules shared by all tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from analysis.records.description import ArmInfo, MetricInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.records.statuses import FAILURES
from analysis.statistics.inference import Comparison, holm, paired_comparison, welch_comparison
from analysis.statistics.looks import LEVEL, at_look, confidence_at_look
from analysis.statistics.transforms import Transform

SIGNIFICANCE_LEVEL = LEVEL
"""Level of the Holm-adjusted p below which two arms are called different."""

PENDING = "pending"
"""Entry in `statuses` for planned replicates that have not ended."""

Conclusion = Literal[
    "baseline",
    "better",
    "worse",
    "higher",
    "lower",
    "not separable at this n",
    "not attainable",
    "failures",
    "pruned",
    "incomplete",
    "not measured",
    "identical",
    "no baseline",
    "not comparable",
]
"""The conclusion from a comparison, in plain words; not a verdict on a claim.

`better` and `worse`: Holm-adjusted p < .05, by the metric's direction (`higher`, `lower` if it has none).
`not attainable`: no t-test exists, as with fewer than two pairs. `failures`: a replicate of either arm failed;
a mean over survivors is neither better nor worse, even if equally many failed. `pruned`: a replicate was
stopped early on purpose, so it has a result but no value to compare. `incomplete`: planned seeds
are pending, and testing early inflates the error. `not measured`: one of the arms has nothing to which the
metric applies, such as phases. `not comparable`: the arms saw different data. `identical`: every replicate
equals the other arm's exactly.
"""


@dataclass(frozen=True)
class ComparisonSpec:
    """The metric and the statistical settings of a comparison."""

    metric: MetricInfo
    scale: Transform
    confidence: float
    share: float = 1.0
    """Of the level that the present look may spend; 1 if the number of seeds does not depend on what they show."""


@dataclass(frozen=True)
class Sample:
    """The planned replicates of one arm, and their scores."""

    arm: ArmInfo
    replicates: list[Replicate]
    values: dict[int, float]
    """{seed: value} of the finished replicates."""
    statuses: Counter[str]
    is_measured: bool
    """False if the metric does not apply to the arm: replicates finished, and none reports it."""

    @property
    def num_without_metric(self) -> int:
        """Replicates that finished without a metric they should have."""
        return self.statuses["finished"] - len(self.values) if self.is_measured else 0

    @property
    def num_failed(self) -> int:
        """Replicates that ran to their end without a value and will get one only if they run again."""
        return sum(self.statuses[s] for s in ("diverged", *FAILURES)) + self.num_without_metric

    @property
    def num_pruned(self) -> int:
        """Replicates that were stopped early on purpose: a result, without a final value."""
        return self.statuses["pruned"]

    @property
    def num_open(self) -> int:
        """Planned seeds that have not ended yet."""
        return len(self.arm.seeds) - sum(replicate.has_ended for replicate in self.replicates)

    @property
    def shortfall(self) -> str | None:
        """Why the values are not those of all planned seeds; None if they are."""
        planned, remarks = len(self.arm.seeds), []
        if self.num_failed:
            counts = [f"{self.statuses[s]} {s}" for s in ("diverged", *sorted(FAILURES)) if self.statuses[s]]
            if self.num_without_metric:
                counts.append(f"{self.num_without_metric} finished without the metric")
            rest = "; the mean is over survivors" if self.values else ""
            remarks.append(f"{self.num_failed} of {planned} failed ({', '.join(counts)}){rest}")
        if self.num_pruned:
            remarks.append(f"{self.num_pruned} of {planned} pruned, without a final value")
        if self.num_open:
            remarks.append(f"{self.num_open} of {planned} seeds not finished yet")
        if not self.is_measured:
            remarks.append("does not report this metric")
        return "; ".join(remarks) or None


def take_sample(state: JournalState, arm: ArmInfo, metric: str, *, is_optional: bool) -> Sample:
    """Collect an arm's planned replicates and their values of a metric.

    Args:
        state: The journal.
        arm: Its seeds are the planned ones.
        metric: Read from the last report of each finished replicate.
        is_optional: The metric may not apply to an arm. A task's own metrics apply to every arm.
    """
    found = {seed: state.replicates.get((arm.config_id, seed)) for seed in arm.seeds}
    replicates = [replicate for replicate in found.values() if replicate is not None]
    finished = [replicate for replicate in replicates if replicate.status == "finished"]
    values = {r.seed: r.final_metrics[metric] for r in finished if metric in r.final_metrics}
    statuses = Counter(_status(replicate) for replicate in found.values())
    return Sample(arm, replicates, values, statuses, bool(values) or not (is_optional and finished))


def _status(replicate: Replicate | None) -> str:
    """Return how a replicate has ended; without an end, whether it was interrupted or is pending."""
    if (
        replicate is None
        or replicate.status is None
        or not (replicate.has_ended or replicate.status == "preempted")
    ):
        return PENDING
    return replicate.status


def compare(sample: Sample, base: Sample | None, spec: ComparisonSpec) -> Comparison | None:
    """Compare two arms by the seeds they share; unpaired only where they were planned on disjoint seeds.

    At a look, interval and p are such that all looks together keep confidence and level; see `statistics.looks`.
    """
    found = _compare(sample, base, replace(spec, confidence=confidence_at_look(spec.confidence, spec.share)))
    return found if found is None or found.p is None else replace(found, p=at_look(found.p, spec.share))


def _compare(sample: Sample, base: Sample | None, spec: ComparisonSpec) -> Comparison | None:
    if base is None or sample is base or not sample.values or not base.values:
        return None
    if set(sample.arm.seeds).isdisjoint(base.arm.seeds):  # unpaired by design, not by failures
        return welch_comparison(
            list(sample.values.values()),
            list(base.values.values()),
            confidence=spec.confidence,
            scale=spec.scale,
        )
    shared = sorted(sample.values.keys() & base.values.keys())
    if not shared:
        return None
    return paired_comparison(
        [sample.values[seed] for seed in shared],
        [base.values[seed] for seed in shared],
        confidence=spec.confidence,
        scale=spec.scale,
    )


def adjust(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust the p-values of a declared family by Holm's method.

    A comparison without a p-value was planned all the same: it counts as p = 1 in the adjustment and keeps None, so
    that the failure of one arm never makes another's difference look more significant.
    """
    adjusted = holm([1.0 if p is None else p for p in p_values])
    return [None if p is None else q for p, q in zip(p_values, adjusted, strict=True)]


def conclude(
    sample: Sample, base: Sample, comparison: Comparison | None, p_adjusted: float | None, spec: ComparisonSpec
) -> Conclusion:
    """State in words what the comparison of `sample` with `base` shows."""
    conclusion: Conclusion
    if sample.num_failed or base.num_failed:
        conclusion = "failures"
    elif sample.num_pruned or base.num_pruned:
        conclusion = "pruned"
    elif sample.num_open or base.num_open:
        conclusion = "incomplete"
    elif not (sample.is_measured and base.is_measured):
        conclusion = "not measured"
    elif comparison is None or comparison.n < 2:
        conclusion = "not attainable"
    elif comparison.identical:
        conclusion = "identical"
    elif p_adjusted is None:
        conclusion = "not attainable"
    elif p_adjusted >= SIGNIFICANCE_LEVEL or comparison.is_contradictory:
        conclusion = "not separable at this n"
    else:
        conclusion = side(comparison.difference > 0, spec.metric.direction)
    return conclusion


def side(higher: bool, direction: Literal["minimise", "maximise", "none"]) -> Conclusion:
    """Return what a difference of this sign means."""
    if direction == "none":
        return "higher" if higher else "lower"
    return "better" if higher == (direction == "maximise") else "worse"


WORDS_OF_A_SHORTFALL: frozenset[Conclusion] = frozenset({"failures", "pruned", "incomplete"})
"""Conclusions that rest on the replicates of either arm, not on their values."""

WORDS_OF_A_TEST: frozenset[Conclusion] = frozenset({"better", "worse", "higher", "lower"})
"""Conclusions that a test has drawn: the arms differ."""


def remarks_on(
    sample: Sample, base: Sample | None, comparison: Comparison | None, conclusion: Conclusion, *, other: str
) -> list[str]:
    """Return what a reader must know of a comparison with `other` besides its numbers; empty if nothing."""
    if comparison is None or base is None:
        return []
    remarks = []
    if comparison.identical:
        remarks.append(f"equals {other} exactly on every seed")
    elif comparison.n >= 2 and comparison.p is None:
        remarks.append("no t-test: nothing varies over seeds")
    if comparison.is_contradictory:
        remarks.append("averages and typical seeds differ in opposite directions, so the test settles neither")
    if comparison.method == "paired t" and comparison.n < max(len(sample.values), len(base.values)):
        remarks.append(f"Δ is over the {seeds_in_words(comparison.n)} shared with {other}")
    if comparison.n == 2 and conclusion in WORDS_OF_A_TEST:
        remarks.append(f"'{conclusion}' rests on two seeds, one degree of freedom: it is easily moved by a third")
    return remarks


def seeds_in_words(count: int) -> str:
    """Return a number of seeds with its noun."""
    return "1 seed" if count == 1 else f"{count} seeds"


def constant_remark(values: Sequence[float]) -> str | None:
    """Return what equal values of several seeds mean; None if they vary or there are fewer than two."""
    if len(values) < 2 or len(set(values)) > 1:
        return None
    return f"all {len(values)} seeds score exactly the same: one number, not {len(values)} independent ones"


def look_remark(comparison: Comparison | None, spec: ComparisonSpec) -> str | None:
    """Return what a look does to p and interval; None without looks."""
    if comparison is None or spec.share == 1:
        return None
    covers = confidence_at_look(spec.confidence, spec.share)
    return (
        f"at a look that spends {spec.share:.0%} of the level, so p is {1 / spec.share:.3g} times as large and "
        f"the interval of Δ is the {covers:.1%} one"
    )
