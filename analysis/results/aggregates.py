"""Arms over several studies: scores from chance to perfect, aggregated over studies and seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.records.description import ArmInfo, MetricInfo
from analysis.results.arms import find_metric, transform_of
from analysis.results.comparison import ComparisonSpec, Sample, adjust, compare, take_sample
from analysis.results.sweeps import Side
from analysis.statistics import aggregates
from analysis.statistics.many_arms import false_discovery, friedman
from analysis.statistics.proportions import jeffreys
from analysis.statistics.transforms import LOG

RESAMPLES = 2_000
_SEED = 0
"""Of the bootstrap, so that equal journals give equal intervals."""
_PROFILED_AT = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles of all scores together at which profiles are given."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic with its interval; None where there is none."""

    value: float
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, kw_only=True)
class ArmAggregate:
    """One arm over all studies. Statistics are None if a replicate of it has no result."""

    arm: str
    runs: int
    """Planned replicates, over all studies."""
    failed: int
    failed_ci_low: float
    """Of the share that failed, by Jeffreys."""
    failed_ci_high: float
    interquartile_mean: Estimate | None
    mean: Estimate | None
    optimality_gap: Estimate | None
    improvement: Estimate | None
    """Probability that a run of it exceeds one of the baseline on the same study; None of the baseline."""
    mean_rank: float | None
    """Over blocks; 1 is the best."""
    profile: tuple[float, ...] | None
    """Share of runs above each threshold."""
    note: str


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """An arm against the baseline in one study."""

    study: str
    arm: str
    n: int
    """Pairs of seeds."""
    p: float | None
    """Two-sided, unadjusted; the other three are adjusted over all contrasts that are listed."""
    p_holm: float | None
    p_false_discovery: float | None
    """Benjamini and Hochberg."""
    p_false_discovery_dependent: float | None
    """Benjamini and Yekutieli."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Friedman's test of the arms' ranks."""

    blocks: Literal["studies", "seeds"]
    """Within what arms are ranked: the mean of each study; of a single study, each seed."""
    count: int
    chi_squared: float
    p: float
    critical_difference: float
    """Mean ranks that differ by more are different, at .05 for all pairs together."""


@dataclass(frozen=True, kw_only=True)
class AggregateTable:
    """Arms that several studies have in common, or those of one study."""

    studies: tuple[str, ...]
    metrics: tuple[str, ...]
    """Of each study."""
    seeds: tuple[int, ...] | None
    """Only these; None: all that were planned."""
    baseline: str | None
    confidence: float
    resamples: int
    thresholds: tuple[float, ...]
    arms: tuple[ArmAggregate, ...]
    contrasts: tuple[Contrast, ...]
    ranking: Ranking | None
    left_out: tuple[str, ...]
    """Arms that not all of the studies have."""


def aggregate(
    sides: Sequence[Side],
    metric: str | None = None,
    seeds: Sequence[int] | None = None,
    *,
    confidence: float = 0.95,
) -> AggregateTable:
    """Aggregate the arms that all studies have.

    Args:
        sides: At least one.
        metric: Another metric than each study's own.
        seeds: Only these.
        confidence: Of the intervals.

    Raises:
        ValueError: If a study lacks the metric or a seed, its metric has no chance level, or they share no arm.
    """
    metrics = [find_metric(side.sweep, metric or side.sweep.primary_metric) for side in sides]
    scores = [score_of(each, side) for each, side in zip(metrics, sides, strict=True)]
    common, left_out = _common_arms(sides)
    samples = {
        arm: [_sample(side, arm, m, seeds) for side, m in zip(sides, metrics, strict=True)] for arm in common
    }
    runs = {
        arm: [score(_array(sample)) for sample, score in zip(found, scores, strict=True)]
        for arm, found in samples.items()
        if all(sample.values and sample.shortfall is None for sample in found)
    }
    baselines = [arm.arm for arm in sides[0].sweep.arms if arm.role == "baseline" and arm.arm in common]
    baseline = baselines[0] if baselines else None
    thresholds = _thresholds(list(runs.values()))
    ranks, ranking = _ranking(runs, sides, samples)
    rng = np.random.default_rng(_SEED)
    rows = [
        _row(
            arm,
            samples[arm],
            runs.get(arm),
            runs.get(baseline or ""),
            baseline,
            thresholds,
            ranks.get(arm),
            confidence,
            rng,
        )
        for arm in common
    ]
    return AggregateTable(
        studies=tuple(side.title for side in sides),
        metrics=tuple(each.name for each in metrics),
        seeds=None if seeds is None else tuple(seeds),
        baseline=baseline,
        confidence=confidence,
        resamples=RESAMPLES,
        thresholds=thresholds,
        arms=tuple(rows),
        contrasts=_contrasts(sides, metrics, samples, baseline, confidence),
        ranking=ranking,
        left_out=left_out,
    )


def _common_arms(sides: Sequence[Side]) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of the arms that all studies have, in order, and those of the others."""
    named = [[arm.arm for arm in side.sweep.arms] for side in sides]
    common = [arm for arm in named[0] if all(arm in arms for arms in named)]
    if not common:
        raise ValueError(f"no arm is in all studies; in {sides[0].title}: {', '.join(named[0])}")
    return common, tuple(sorted({arm for arms in named for arm in arms} - set(common)))


def score_of(metric: MetricInfo, side: Side) -> Callable[[np.ndarray], np.ndarray]:
    """Return the map of a metric to scores: 0 at chance, 1 if perfect.

    Of a rate, what it is above chance, over what it could be. Of a loss in nats or bits, the share of the loss at
    chance that is gone; of perplexity the same with logarithms.

    Raises:
        ValueError: If the metric has no better side, or its chance level is not known.
    """
    chance = metric.chance
    if metric.direction == "none" or chance is None:
        lacks = "better side" if metric.direction == "none" else "chance level"
        raise ValueError(f"{metric.name} of {side.title} has no {lacks}, so it has no score from chance to perfect")
    if transform_of(metric) == LOG:
        return lambda values: 1 - np.log(values) / math.log(chance)
    if metric.direction == "minimise":
        return lambda values: 1 - values / chance
    return lambda values: (values - chance) / (1 - chance)


def _sample(side: Side, name: str, metric: MetricInfo, seeds: Sequence[int] | None) -> Sample:
    arm = next(arm for arm in side.sweep.arms if arm.arm == name)
    return take_sample(side.state, _of_seeds(arm, side, seeds), metric.name, is_optional=False)


def _of_seeds(arm: ArmInfo, side: Side, seeds: Sequence[int] | None) -> ArmInfo:
    if seeds is None:
        return arm
    missing = [seed for seed in seeds if seed not in arm.seeds]
    if missing:
        has = ", ".join(map(str, arm.seeds))
        raise ValueError(f"seed {missing[0]} is none of {arm.arm} in {side.title}; it has {has}")
    return replace(arm, seeds=tuple(seeds))


def _array(sample: Sample) -> np.ndarray:
    return np.array([sample.values[seed] for seed in sorted(sample.values)])


def _thresholds(runs: Sequence[aggregates.Runs]) -> tuple[float, ...]:
    if not runs:
        return ()
    pooled = np.concatenate([task for arm in runs for task in arm])
    return tuple(float(value) for value in np.quantile(pooled, _PROFILED_AT))


def _row(
    arm: str,
    samples: Sequence[Sample],
    runs: aggregates.Runs | None,
    base: aggregates.Runs | None,
    baseline: str | None,
    thresholds: Sequence[float],
    rank: float | None,
    confidence: float,
    rng: np.random.Generator,
) -> ArmAggregate:
    planned = sum(len(sample.arm.seeds) for sample in samples)
    failed = sum(sample.num_failed for sample in samples)
    low, high = jeffreys(failed, planned, confidence)

    def estimate(statistic: Callable[..., np.ndarray], *given: aggregates.Runs | None) -> Estimate | None:
        if any(one is None for one in given):
            return None
        known = [one for one in given if one is not None]
        interval = aggregates.bootstrap(statistic, *known, confidence=confidence, resamples=RESAMPLES, rng=rng)
        bounds = (None, None) if interval is None else (interval.low, interval.high)
        return Estimate(value=float(statistic(*known)), ci_low=bounds[0], ci_high=bounds[1])

    return ArmAggregate(
        arm=arm,
        runs=planned,
        failed=failed,
        failed_ci_low=low,
        failed_ci_high=high,
        interquartile_mean=estimate(aggregates.interquartile_mean, runs),
        mean=estimate(aggregates.average, runs),
        optimality_gap=estimate(aggregates.optimality_gap, runs),
        improvement=None if arm == baseline else estimate(aggregates.probability_of_improvement, runs, base),
        mean_rank=rank,
        profile=None if runs is None else tuple(map(float, aggregates.performance_profile(runs, thresholds))),
        note="; ".join(dict.fromkeys(sample.shortfall for sample in samples if sample.shortfall)),
    )


def _ranking(
    runs: dict[str, list[np.ndarray]], sides: Sequence[Side], samples: dict[str, list[Sample]]
) -> tuple[dict[str, float], Ranking | None]:
    """Rank the arms within studies; of one study, within the seeds that all arms have."""
    if len(sides) > 1:
        values_BA = np.array([[task.mean() for task in arm] for arm in runs.values()]).T
    else:
        sets = {tuple(sorted(samples[arm][0].values)) for arm in runs}
        if len(sets) != 1:
            return {}, None
        values_BA = np.array([arm[0] for arm in runs.values()]).T
    found = friedman(values_BA, better="higher") if len(runs) > 1 else None
    if found is None:
        return {}, None
    ranking = Ranking(
        blocks="studies" if len(sides) > 1 else "seeds",
        count=values_BA.shape[0],
        chi_squared=found.chi_squared,
        p=found.p,
        critical_difference=found.critical_difference,
    )
    return dict(zip(runs, found.mean_ranks, strict=True)), ranking


def _contrasts(
    sides: Sequence[Side],
    metrics: Sequence[MetricInfo],
    samples: dict[str, list[Sample]],
    baseline: str | None,
    confidence: float,
) -> tuple[Contrast, ...]:
    if baseline is None:
        return ()
    found = []
    for place, (side, metric) in enumerate(zip(sides, metrics, strict=True)):
        spec = ComparisonSpec(metric, transform_of(metric), confidence)
        for arm, of_arm in samples.items():
            if arm == baseline:
                continue
            base = samples[baseline][place]
            is_whole = of_arm[place].shortfall is None and base.shortfall is None
            compared = compare(of_arm[place], base, spec)
            p = compared.p if compared is not None and is_whole else None
            found.append((side.title, arm, 0 if compared is None else compared.n, p))
    p_values = [p for *_, p in found]
    counted = [1.0 if p is None else p for p in p_values]  # planned all the same, as Holm's family has it
    plain, dependent = (false_discovery(counted, dependent=flag) for flag in (False, True))
    return tuple(
        Contrast(
            study=study,
            arm=arm,
            n=n,
            p=p,
            p_holm=holm,
            p_false_discovery=None if p is None else bh,
            p_false_discovery_dependent=None if p is None else by,
        )
        for (study, arm, n, p), holm, bh, by in zip(found, adjust(p_values), plain, dependent, strict=True)
    )
