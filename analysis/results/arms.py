"""Summary of one metric: a row per arm, with intervals and paired comparisons.

No replicate is dropped silently: each planned seed is counted as finished, failed or pending, and a mean over
survivors is marked as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.records.description import ExternalInfo, JournalError, MetricInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.records.statuses import RESULTS
from analysis.results.comparison import (
    SIGNIFICANCE_LEVEL,
    WORDS_OF_A_SHORTFALL,
    ComparisonSpec,
    Conclusion,
    Sample,
    adjust,
    compare,
    conclude,
    constant_remark,
    look_remark,
    remarks_on,
    take_sample,
)
from analysis.results.table import ContrastRow, ExternalRow, ResultRow, ResultTable
from analysis.statistics.inference import Comparison, mean, mean_interval, standard_deviation, welch_comparison
from analysis.statistics.transforms import LINEAR, LOG, Logit, Transform
from analysis.suggestions import did_you_mean


def summarise(
    state: JournalState, metric: str | None = None, *, confidence: float = 0.95, code: str | None = None
) -> ResultTable:
    """Summarise one metric over all arms of the newest sweep.

    Args:
        state: The journal.
        metric: Name of the metric; the study's primary metric if None.
        confidence: Coverage of every interval, between 0 and 1.
        code: Hash of the present code; results of other code are counted. None: no code is compared.

    Raises:
        JournalError: If the journal has no description of a sweep.
        ValueError: If the study has no such metric; the message gives the nearest one.
    """
    if state.sweep is None:
        raise JournalError("the journal has no `sweep` line, so nothing says what its numbers mean")
    sweep = state.sweep
    info = find_metric(sweep, metric or sweep.primary_metric)
    spec = ComparisonSpec(info, transform_of(info), confidence, look_share(state))
    arms = sorted(sweep.arms, key=lambda arm: arm.role != "baseline")  # stable: study order otherwise
    is_shared = info not in sweep.metrics
    samples = {arm.arm: take_sample(state, arm, info.name, is_optional=is_shared) for arm in arms}
    base = samples[arms[0].arm] if arms and arms[0].role == "baseline" else None
    comparisons = {name: compare(sample, base, spec) for name, sample in samples.items()}
    adjusted = _adjust_family(samples, comparisons, base)
    planned = {(arm.config_id, seed) for arm in sweep.units for seed in arm.seeds}
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
        items=info.items,
        scored=info.scored,
        confidence=confidence,
        delta_kind="relative" if spec.scale == LOG else "difference",
        family_size=len(adjusted),
        shared=tuple(f"{unit.arm} (seed {seed})" for unit in sweep.prerequisites for seed in unit.seeds),
        stale=len(state.replicates.keys() - planned),
        rows=tuple(
            _row(sample, base, comparisons[name], adjusted.get(sample.arm.config_id), spec, code)
            for name, sample in samples.items()
        ),
        contrasts=_contrasts(sweep, samples, spec),
        external=tuple(_external(theirs, base, spec) for theirs in sweep.external if theirs.metric == info.name),
    )


def _is_of_other_code(replicate: Replicate, code: str) -> bool:
    """Return whether other code has computed a result; a journal from before codes were recorded does not say."""
    own = {attempt.numerics.get("code", code) for attempt in replicate.attempts}
    return replicate.status in RESULTS and own - {code} != set()


def look_share(state: JournalState) -> float:
    """Return the share of the level that the present look at winners may spend; 1 without looks."""
    info = state.sweep.search if state.sweep else None
    return 1.0 if info is None else state.searches.share(info)


def transform_of(metric: MetricInfo) -> Transform:
    """Return the transform under which a metric is taken to be normally distributed over seeds."""
    if metric.items is not None:
        return Logit(metric.items, metric.scored)
    return LOG if metric.unit == "perplexity" else LINEAR


def find_metric(sweep: SweepInfo, name: str) -> MetricInfo:
    """Return the metric called `name`.

    Raises:
        ValueError: If the study has no such metric; the message gives the nearest one.
    """
    try:
        return sweep.metric(name)
    except KeyError:
        known = [metric.name for metric in sweep.all_metrics]
        raise ValueError(f"study '{sweep.study}' has no metric '{name}'; {did_you_mean(name, known)}") from None


def _adjust_family(
    samples: Mapping[str, Sample], comparisons: Mapping[str, Comparison | None], base: Sample | None
) -> dict[str, float | None]:
    """Return {config_id: adjusted p} of the declared family: every configuration except the baseline's.

    Arms with the same configuration are one hypothesis, and one that equals the baseline's tests nothing.
    """
    raw: dict[str, float | None] = {}
    for name, sample in samples.items():
        if base is not None and sample.arm.config_id != base.arm.config_id:
            comparison = comparisons[name]
            raw[sample.arm.config_id] = comparison.p if comparison else None
    return dict(zip(raw, adjust(list(raw.values())), strict=True))


def _row(
    sample: Sample,
    base: Sample | None,
    comparison: Comparison | None,
    p_adjusted: float | None,
    spec: ComparisonSpec,
    code: str | None,
) -> ResultRow:
    values = list(sample.values.values())
    interval = mean_interval(values, confidence=spec.confidence, scale=spec.scale)
    delta_interval = comparison.interval if comparison else None
    differences = _differences(sample, base, spec)
    conclusion = _conclusion(sample, base, comparison, p_adjusted, spec)
    peaks = [r.peak_memory_mib for r in sample.replicates if r.peak_memory_mib is not None]
    return ResultRow(
        config_id=sample.arm.config_id,
        arm=sample.arm.arm,
        role=sample.arm.role,
        parameters=sample.arm.parameters,
        num_parameters=sample.arm.num_parameters,
        n=len(values),
        n_failed=sample.num_failed,
        n_other_code=sum(code is not None and _is_of_other_code(one, code) for one in sample.replicates),
        statuses=dict(sorted(sample.statuses.items())),
        values=sample.values,
        mean=mean(values, scale=spec.scale) if values else None,
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
        reading=conclusion,
        peak_memory_mib=max(peaks, default=None),
        seconds=_mean_seconds(sample),
        note=_note(
            sample.shortfall,
            _shortfall_of_baseline(sample, base, conclusion),
            interval.note if interval else constant_remark(values),
            *remarks_on(sample, base, comparison, conclusion, other="the baseline"),
            look_remark(comparison, spec),
        ),
    )


def _conclusion(
    sample: Sample,
    base: Sample | None,
    comparison: Comparison | None,
    p_adjusted: float | None,
    spec: ComparisonSpec,
) -> Conclusion:
    if base is None or sample is base:
        return "no baseline" if base is None else "baseline"
    return conclude(sample, base, comparison, p_adjusted, spec)


def _mean_seconds(sample: Sample) -> float | None:
    seconds = [r.seconds for r in sample.replicates if r.seconds is not None]
    return sum(seconds) / len(seconds) if seconds else None


def _shortfall_of_baseline(sample: Sample, base: Sample | None, conclusion: Conclusion) -> str | None:
    is_its_reason = sample.shortfall is None and conclusion in WORDS_OF_A_SHORTFALL
    return f"the baseline: {base.shortfall}" if base is not None and is_its_reason else None


def _differences(sample: Sample, base: Sample | None, spec: ComparisonSpec) -> dict[int, float]:
    if base is None or sample is base:
        return {}
    return {
        seed: spec.scale.difference([value], [base.values[seed]])
        for seed, value in sample.values.items()
        if seed in base.values
    }


def _contrasts(sweep: SweepInfo, samples: Mapping[str, Sample], spec: ComparisonSpec) -> tuple[ContrastRow, ...]:
    unknown = {name for c in sweep.contrasts for name in (c.arm, c.against)} - samples.keys()
    if unknown:
        raise JournalError(f"study '{sweep.study}': a contrast names no arm of the sweep: {', '.join(unknown)}")
    pairs = [(samples[contrast.arm], samples[contrast.against]) for contrast in sweep.contrasts]
    comparisons = [compare(sample, other, spec) for sample, other in pairs]
    adjusted = adjust([comparison.p if comparison else None for comparison in comparisons])
    rows = []
    for contrast, (sample, other), comparison, p_adjusted in zip(
        sweep.contrasts, pairs, comparisons, adjusted, strict=True
    ):
        interval = comparison.interval if comparison else None
        reading = conclude(sample, other, comparison, p_adjusted, spec)
        is_unpaired = comparison is not None and comparison.method == "Welch t"
        shortfalls = [f"{s.arm.arm}: {s.shortfall}" for s in (sample, other) if s.shortfall]
        unpaired = "unpaired, by Welch's test: the arms were planned on disjoint seeds" if is_unpaired else ""
        rows.append(
            ContrastRow(
                arm=contrast.arm,
                against=contrast.against,
                meaning=contrast.meaning,
                n_pairs=len(sample.values.keys() & other.values.keys()),
                delta=comparison.difference if comparison else None,
                ci_low=interval.low if interval else None,
                ci_high=interval.high if interval else None,
                p=comparison.p if comparison else None,
                p_adjusted=p_adjusted,
                reading=reading,
                note=_note(
                    *shortfalls,
                    *remarks_on(sample, other, comparison, reading, other=contrast.against),
                    unpaired,
                ),
            )
        )
    return tuple(rows)


def _external(theirs: ExternalInfo, base: Sample | None, spec: ComparisonSpec) -> ExternalRow:
    ours = list(base.values.values()) if base is not None else []
    comparison = None
    if ours:
        comparison = welch_comparison(ours, theirs.values, confidence=spec.confidence, scale=spec.scale)
    interval = comparison.interval if comparison else None
    return ExternalRow(
        name=theirs.name,
        source=theirs.source,
        n=len(theirs.values),
        mean=mean(theirs.values, scale=spec.scale),
        std=standard_deviation(theirs.values),
        baseline_n=len(ours),
        baseline_mean=mean(ours, scale=spec.scale) if ours else None,
        difference=comparison.difference if comparison else None,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        p=comparison.p if comparison else None,
        equal_within=_equal_within(ours, theirs.values, spec) if comparison else None,
        note=_note(base.shortfall) if base is not None else "the study names no baseline",
    )


def _equal_within(ours: Sequence[float], theirs: Sequence[float], spec: ComparisonSpec) -> float | None:
    interval = welch_comparison(ours, theirs, confidence=1 - 2 * SIGNIFICANCE_LEVEL, scale=spec.scale).interval
    return None if interval is None else max(abs(interval.low), abs(interval.high))


def _note(*remarks: str | None) -> str:
    return "; ".join(remark for remark in remarks if remark)
