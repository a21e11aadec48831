"""What a journal says about one metric: a row an arm, with intervals and paired comparisons.

No replicate vanishes: each planned seed is counted as finished, failed or still to run, and a mean over
survivors is marked as one.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from analysis.records import FAILURES, ArmInfo, JournalError, JournalState, MetricInfo, Replicate, SweepInfo
from analysis.statistics import (
    Comparison,
    Scale,
    holm,
    mean,
    mean_interval,
    paired_comparison,
    standard_deviation,
    welch_comparison,
)

SIGNIFICANCE_LEVEL = 0.05
"""Level of the Holm-adjusted p below which two arms are called different."""

PENDING = "pending"
"""Stands in `statuses` for planned replicates that have not ended."""

Reading = Literal[
    "baseline",
    "better",
    "worse",
    "higher",
    "lower",
    "not separable at this n",
    "not attainable",
    "failures",
    "incomplete",
    "identical",
    "no baseline",
]
"""What a row says, in plain words; no verdict on a claim.

`better` and `worse`: Holm-adjusted p < .05, by the metric's direction (`higher`, `lower` where it has none).
`not attainable`: no t-test exists, as with fewer than two pairs. `failures`: another number of replicates
failed than of the baseline's, so the means rest on different seeds. `incomplete`: planned seeds are still to
run, and testing early inflates the error. `identical`: every replicate equals the baseline's exactly.
"""


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One arm. Values are None where they do not exist; never NaN."""

    config_id: str
    arm: str
    role: str
    parameters: dict[str, Any]
    num_parameters: int
    n: int
    """Replicates finished with the metric."""
    n_failed: int
    """Replicates diverged, crashed, out of memory, timed out, or finished without the metric."""
    statuses: dict[str, int]
    """Planned replicates by status, `pending` for those that have not ended."""
    values: dict[int, float]
    """{seed: value} of the n replicates."""
    mean: float | None
    """Geometric mean where the metric is treated on the log scale."""
    std: float | None
    """Sample standard deviation over seeds, in the metric's unit."""
    ci_low: float | None
    ci_high: float | None
    ci_method: str | None
    delta: float | None
    """Mean of arm − baseline over shared seeds; the relative change where `delta_kind` is "relative"."""
    delta_ci_low: float | None
    delta_ci_high: float | None
    differences: dict[int, float]
    """{seed: arm − baseline} of the shared seeds, of the same kind as `delta`."""
    n_pairs: int
    p: float | None
    """Two-sided, unadjusted."""
    p_adjusted: float | None
    """Holm over the table's distinct configurations that have a p."""
    comparison: str | None
    """The test behind p: "paired t", or "Welch t" where the arms were planned on disjoint seeds."""
    seed_correlation: float | None
    reading: Reading
    peak_memory_mib: float | None
    """Largest over the replicates."""
    seconds: float | None
    """Mean wall time of a replicate."""
    note: str
    """What a reader must know before using the row; empty if nothing."""


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """All arms of a study at one scale, for one metric."""

    study: str
    scale: str
    title: str
    metric: str
    unit: str
    direction: Literal["minimise", "maximise", "none"]
    meaning: str
    chance: float | None
    references: dict[str, float]
    """What simple models score on this metric."""
    confidence: float
    delta_kind: Literal["difference", "relative"]
    family_size: int
    """Comparisons that Holm's adjustment counts."""
    stale: int
    """Replicates in the journal that the newest study does not plan; ignored."""
    rows: tuple[ResultRow, ...]
    """The baseline first, then the study's order."""

    @property
    def baseline(self) -> ResultRow | None:
        """The arm the others are compared with; None if the study names none."""
        return next((row for row in self.rows if row.role == "baseline"), None)

    def to_json(self) -> dict[str, Any]:
        """Return the table as `results --json` prints it."""
        table = dataclasses.asdict(self)
        table["rows"] = [_row_to_json(row) for row in table["rows"]]
        return table


@dataclass(frozen=True)
class _Sample:
    """The planned replicates of one arm, and what they scored."""

    arm: ArmInfo
    replicates: list[Replicate]
    values: dict[int, float]
    statuses: Counter[str]

    @property
    def num_failed(self) -> int:
        without_metric = self.statuses["finished"] - len(self.values)
        return sum(self.statuses[s] for s in ("diverged", *FAILURES)) + without_metric

    @property
    def num_open(self) -> int:
        return len(self.arm.seeds) - len(self.values) - self.num_failed


@dataclass(frozen=True)
class _Question:
    """What is asked of every arm."""

    metric: MetricInfo
    base: _Sample | None
    confidence: float
    scale: Scale


def summarise(state: JournalState, metric: str | None = None, *, confidence: float = 0.95) -> ResultTable:
    """Summarise one metric over all arms of the newest sweep.

    Args:
        state: The journal.
        metric: Name of the metric; the study's primary metric if None.
        confidence: Coverage of every interval, between 0 and 1.

    Raises:
        JournalError: If the journal holds no description of a sweep.
        ValueError: If the study has no such metric; the message gives the nearest one.
    """
    if state.sweep is None:
        raise JournalError("the journal has no `sweep` line, so nothing says what its numbers mean")
    sweep = state.sweep
    info = find_metric(sweep, metric or sweep.primary_metric)
    scale = scale_of(info)
    arms = sorted(sweep.arms, key=lambda arm: arm.role != "baseline")  # stable: study order otherwise
    samples = [_sample(state, arm, info.name) for arm in arms]
    base = samples[0] if samples and samples[0].arm.role == "baseline" else None
    question = _Question(info, base, confidence, scale)
    comparisons = [_compare(sample, question) for sample in samples]
    adjusted = _adjust(samples, comparisons, base)
    planned = {(arm.config_id, seed) for arm in arms for seed in arm.seeds}
    return ResultTable(
        study=sweep.study,
        scale=sweep.scale,
        title=sweep.title,
        metric=info.name,
        unit=info.unit,
        direction=info.direction,
        meaning=info.meaning,
        chance=info.chance,
        references={name: scores[info.name] for name, scores in sweep.references.items() if info.name in scores},
        confidence=confidence,
        delta_kind="relative" if scale == "log" else "difference",
        family_size=len(adjusted),
        stale=len(state.replicates.keys() - planned),
        rows=tuple(
            _row(sample, comparison, adjusted.get(sample.arm.config_id), question)
            for sample, comparison in zip(samples, comparisons, strict=True)
        ),
    )


def scale_of(metric: MetricInfo) -> Scale:
    """Return the scale on which a metric's errors are taken to be normal."""
    return "log" if metric.unit == "perplexity" else "linear"


def find_metric(sweep: SweepInfo, name: str) -> MetricInfo:
    """Return the metric called `name`.

    Raises:
        ValueError: If the study has no such metric; the message gives the nearest one.
    """
    known = [metric.name for metric in sweep.all_metrics]
    if name in known:
        return sweep.metric(name)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
    raise ValueError(f"study '{sweep.study}' has no metric '{name}'; {hint}")


def _sample(state: JournalState, arm: ArmInfo, metric: str) -> _Sample:
    found = {seed: state.replicates.get((arm.config_id, seed)) for seed in arm.seeds}
    replicates = [replicate for replicate in found.values() if replicate is not None]
    values = {
        replicate.seed: replicate.final_metrics[metric]
        for replicate in replicates
        if replicate.status == "finished" and metric in replicate.final_metrics
    }
    statuses = Counter(r.status or PENDING if r is not None else PENDING for r in found.values())
    return _Sample(arm, replicates, values, statuses)


def _compare(sample: _Sample, question: _Question) -> Comparison | None:
    base = question.base
    if base is None or sample is base or not sample.values or not base.values:
        return None
    if set(sample.arm.seeds).isdisjoint(base.arm.seeds):  # unpaired by design, not by failures
        return welch_comparison(
            list(sample.values.values()),
            list(base.values.values()),
            confidence=question.confidence,
            scale=question.scale,
        )
    shared = sorted(sample.values.keys() & base.values.keys())
    if not shared:
        return None
    return paired_comparison(
        [sample.values[seed] for seed in shared],
        [base.values[seed] for seed in shared],
        confidence=question.confidence,
        scale=question.scale,
    )


def _adjust(
    samples: Iterable[_Sample], comparisons: Iterable[Comparison | None], base: _Sample | None
) -> dict[str, float]:
    """Return {config_id: adjusted p}: arms that are one configuration are one hypothesis."""
    raw = {
        sample.arm.config_id: comparison.p
        for sample, comparison in zip(samples, comparisons, strict=True)
        if comparison is not None and comparison.p is not None
    }
    if base is not None:
        raw.pop(base.arm.config_id, None)  # an arm that is the baseline under another name tests nothing
    return dict(zip(raw, holm(list(raw.values())), strict=True))


def _row(
    sample: _Sample, comparison: Comparison | None, p_adjusted: float | None, question: _Question
) -> ResultRow:
    values = list(sample.values.values())
    interval = mean_interval(values, confidence=question.confidence, scale=question.scale)
    delta_interval = comparison.interval if comparison else None
    differences = _differences(sample, question)
    seconds = [r.seconds for r in sample.replicates if r.seconds is not None]
    peaks = [r.peak_memory_mib for r in sample.replicates if r.peak_memory_mib is not None]
    return ResultRow(
        config_id=sample.arm.config_id,
        arm=sample.arm.arm,
        role=sample.arm.role,
        parameters=sample.arm.parameters,
        num_parameters=sample.arm.num_parameters,
        n=len(values),
        n_failed=sample.num_failed,
        statuses=dict(sorted(sample.statuses.items())),
        values=sample.values,
        mean=mean(values, scale=question.scale) if values else None,
        std=standard_deviation(values),
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        ci_method=interval.method if interval else None,
        delta=comparison.difference if comparison else None,
        delta_ci_low=delta_interval.low if delta_interval else None,
        delta_ci_high=delta_interval.high if delta_interval else None,
        differences=differences,
        n_pairs=len(differences),
        p=comparison.p if comparison else None,
        p_adjusted=p_adjusted,
        comparison=comparison.method if comparison else None,
        seed_correlation=comparison.seed_correlation if comparison else None,
        reading=_reading(sample, comparison, p_adjusted, question),
        peak_memory_mib=max(peaks, default=None),
        seconds=sum(seconds) / len(seconds) if seconds else None,
        note=_note(sample, comparison),
    )


def _differences(sample: _Sample, question: _Question) -> dict[int, float]:
    base = question.base
    if base is None or sample is base:
        return {}
    return {
        seed: paired_comparison([value], [base.values[seed]], scale=question.scale).difference
        for seed, value in sample.values.items()
        if seed in base.values
    }


def _reading(
    sample: _Sample, comparison: Comparison | None, p_adjusted: float | None, question: _Question
) -> Reading:
    base = question.base
    reading: Reading
    if base is None:
        reading = "no baseline"
    elif sample is base:
        reading = "baseline"
    elif sample.num_open or base.num_open:
        reading = "incomplete"
    elif sample.num_failed != base.num_failed:
        reading = "failures"
    elif comparison is None or comparison.n < 2:
        reading = "not attainable"
    elif comparison.identical:
        reading = "identical"
    elif p_adjusted is None:
        reading = "not attainable"
    elif p_adjusted >= SIGNIFICANCE_LEVEL:
        reading = "not separable at this n"
    else:
        reading = _side(comparison.difference > 0, question.metric.direction)
    return reading


def _side(higher: bool, direction: Literal["minimise", "maximise", "none"]) -> Reading:
    if direction == "none":
        return "higher" if higher else "lower"
    return "better" if higher == (direction == "maximise") else "worse"


def _note(sample: _Sample, comparison: Comparison | None) -> str:
    planned, remarks = len(sample.arm.seeds), []
    if sample.num_failed:
        counts = [f"{sample.statuses[s]} {s}" for s in ("diverged", *sorted(FAILURES)) if sample.statuses[s]]
        if without := sample.statuses["finished"] - len(sample.values):
            counts.append(f"{without} finished without the metric")
        rest = "; the mean is over survivors" if sample.values else ""
        remarks.append(f"{sample.num_failed} of {planned} failed ({', '.join(counts)}){rest}")
    if sample.num_open:
        remarks.append(f"{sample.num_open} of {planned} seeds not finished yet")
    if comparison is not None and comparison.identical:
        remarks.append("equals the baseline exactly on every seed")
    elif comparison is not None and comparison.n >= 2 and comparison.p is None:
        remarks.append("no t-test: nothing varies over seeds")
    return "; ".join(remarks)


def _row_to_json(row: dict[str, Any]) -> dict[str, Any]:
    for key in ("values", "differences"):
        row[key] = {str(seed): value for seed, value in row[key].items()}
    return row
