"""A metric over training: every seed of every arm, means with intervals by step, and a probe's null beside it."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.records.description import ArmInfo, JournalError, MetricInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.results.arms import find_metric, transform_of
from analysis.statistics.inference import mean, mean_interval
from analysis.statistics.transforms import Interval


@dataclass(frozen=True)
class Curve:
    """One arm's metric over training."""

    arm: str
    seeds: dict[int, dict[int, float]]
    """{seed: {step: value}} of every replicate that reported the metric."""
    unfinished: frozenset[int]
    """Seeds that failed or have not ended; not part of the mean."""
    means: dict[int, float]
    """{step: mean} at the steps that every finished seed reports."""
    intervals: dict[int, Interval | None]
    nulls: dict[int, float]
    """{step: mean} of the metric's value in a model without structure, at the same steps; empty if it has none."""


@dataclass(frozen=True)
class Curves:
    """A metric of all arms over training."""

    sweep: SweepInfo
    metric: MetricInfo
    arms: tuple[Curve, ...]
    """The baseline first."""
    confidence: float

    @property
    def reference(self) -> Curve | None:
        """The baseline's curve, if there is a baseline."""
        first = min(self.sweep.arms, key=_baseline_first)
        return self.arms[0] if first.role == "baseline" else None


def curves_of(state: JournalState, metric: str | None, *, confidence: float = 0.95) -> Curves:
    """Return a metric over training.

    Args:
        state: The journal.
        metric: Name of the metric; if None the one that `curve_metric` chooses.
        confidence: Coverage of the interval at each step.

    Raises:
        JournalError: If the journal has no description of a sweep.
        ValueError: If the metric is unknown, or no arm reports it at two steps or more.
    """
    if state.sweep is None:
        raise JournalError("the journal has no `sweep` line, so nothing says what its numbers mean")
    info = curve_metric(state, state.sweep) if metric is None else find_metric(state.sweep, metric)
    arms = sorted(state.sweep.arms, key=_baseline_first)
    curves = tuple(_curve(state, arm, info, confidence) for arm in arms)
    if all(len(curve.means) < 2 for curve in curves):
        hint = "; budget.probe_at: reports measures it at every report" if info.name.startswith("probe/") else ""
        raise ValueError(f"no arm of '{state.sweep.study}' reports {info.name} at two steps or more{hint}")
    return Curves(state.sweep, info, curves, confidence)


def _baseline_first(arm: ArmInfo) -> bool:
    return arm.role != "baseline"


def curve_metric(state: JournalState, sweep: SweepInfo) -> MetricInfo:
    """Return the metric that is drawn over training: the primary one, or its subset version.

    The training loop scores a whole split only once, at the end; earlier reports score a subset, under
    `<split>_subset/...`. The test split is not scored on the way at all: its metric is drawn on validation.
    """
    split, _, name = sweep.primary_metric.partition("/")
    reports = (report for replicate in state.replicates.values() for report in replicate.reports)
    reported = {metric for report in reports for metric in report.metrics}
    subsets = (f"{split}_subset/{name}", f"val_subset/{name}")
    return find_metric(sweep, next((each for each in subsets if each in reported), sweep.primary_metric))


def _curve(state: JournalState, arm: ArmInfo, info: MetricInfo, confidence: float) -> Curve:
    found = [state.replicates.get((arm.config_id, seed)) for seed in arm.seeds]
    replicates = {replicate.seed: replicate for replicate in found if replicate is not None}
    seeds = {seed: _points(replicate, info.name) for seed, replicate in replicates.items()}
    seeds = {seed: points for seed, points in seeds.items() if points}
    finished = sorted(seed for seed in seeds if replicates[seed].status == "finished")
    values = _by_step({seed: seeds[seed] for seed in finished})
    nulls = {} if info.null is None else {seed: _points(replicates[seed], info.null) for seed in finished}
    scale = transform_of(info)
    return Curve(
        arm=arm.arm,
        seeds=seeds,
        unfinished=frozenset(seeds.keys() - set(finished)),
        means={step: mean(v, scale=scale) for step, v in values.items()},
        intervals={step: mean_interval(v, confidence=confidence, scale=scale) for step, v in values.items()},
        nulls={step: mean(v, scale=scale) for step, v in _by_step(nulls).items()},
    )


def _points(replicate: Replicate, metric: str) -> dict[int, float]:
    return {report.step: report.metrics[metric] for report in replicate.reports if metric in report.metrics}


def _by_step(seeds: dict[int, dict[int, float]]) -> dict[int, list[float]]:
    """Return {step: values} at the steps that all seeds have; early stopping ends them at different ones."""
    steps = sorted(set.intersection(*map(set, seeds.values()))) if seeds else []
    return {step: [points[step] for points in seeds.values()] for step in steps}
