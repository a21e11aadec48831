"""The values that a claim is judged by, from one journal; never those of another configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.claims.claim import RECEIPT_PREFIX, STEP, Claim
from analysis.records.description import ArmInfo, MetricInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.results.arms import look_share, transform_of
from analysis.results.comparison import ComparisonSpec, Sample, take_sample
from analysis.statistics.transforms import LINEAR, LOG, Transform

EXACT = "follows from the configuration, without an error"
"""Method of the interval, of width 0, of a metric that is declared exact."""

Fields = Callable[[ArmInfo], Mapping[str, Any]]
"""Maps an arm to all fields of its configuration, with dotted keys."""


@dataclass(frozen=True)
class Evidence:
    """A journal, read for one claim."""

    claim: Claim
    state: JournalState
    sweep: SweepInfo
    fields: Fields
    _samples: dict[str, Sample] = field(default_factory=dict, compare=False)

    @property
    def metric_text(self) -> str:
        """The claim's metric, or `a - b`; failures and receipts are of replicates that have the primary one."""
        named = self.claim.metric
        return self.sweep.primary_metric if named is None or named.startswith(RECEIPT_PREFIX) else named

    @property
    def metric(self) -> MetricInfo:
        """The metric of the claim; of `a - b` the first.

        Raises:
            KeyError: If the study has no such metric.
        """
        return self.sweep.metric(self.metric_text.split(" - ")[0])

    @property
    def scale(self) -> Transform:
        """The transform of the claim's values: ratios of last to best are logarithms, differences plain."""
        if self.claim.statistic == "last_over_best":
            return LOG
        return LINEAR if " - " in self.metric_text else transform_of(self.metric)

    @property
    def unit(self) -> str | None:
        """Unit of the effect; None where it has none of its own, such as a share or what varies along a curve."""
        if self.claim.metric is None or self.claim.kind in {"receipt", "response_curve", "association", "flatness"}:
            return None
        if self.claim.statistic == "last_over_best":
            return "last/best"
        if self.claim.kind in {"trend", "factorial"} and self.scale != LINEAR:
            return "log" if self.scale == LOG else "logit"
        return self.metric.unit

    @property
    def sign(self) -> int:
        """1 if higher is the side that the claim calls better, −1 if lower is."""
        side = self.claim.direction or ("higher" if self.metric.direction == "maximise" else "lower")
        return 1 if side == "higher" else -1

    def spec(self, confidence: float) -> ComparisonSpec:
        """Return how two arms are compared."""
        return ComparisonSpec(self.metric, self.scale, confidence, look_share(self.state))

    def arm(self, name: str) -> ArmInfo | None:
        """Return the arm, if the journal's newest sweep has it."""
        return next((arm for arm in self.sweep.arms if arm.arm == name), None)

    def sample(self, name: str) -> Sample:
        """Return the planned replicates of an arm with the claim's value of each finished one.

        Raises:
            KeyError: If the journal has no such arm.
        """
        if name not in self._samples:
            self._samples[name] = self._take(name)
        return self._samples[name]

    def _take(self, name: str) -> Sample:
        arm = self.arm(name)
        if arm is None:
            raise KeyError(name)
        is_optional = self.metric not in self.sweep.metrics
        sample = take_sample(self.state, arm, self.metric.name, is_optional=is_optional)
        values = self._read(sample, self._value)
        finished = sample.statuses["finished"] > 0
        return replace(sample, values=values, is_measured=bool(values) or not (is_optional and finished))

    def metric_over(self, name: str) -> dict[int, float]:
        """Return {seed: value} of the metric named by `over`, for an arm."""
        over = str(self.claim.over)
        return self._read(self.sample(name), lambda replicate: _at(replicate.final_metrics, over))

    def field_over(self, name: str, dotted: str) -> Any:
        """Return an arm's value of a field of the configuration; None if nothing has it."""
        arm = self.arm(name)
        return None if arm is None else {**arm.claimed, **self.fields(arm)}.get(dotted)

    def over_steps(self, name: str) -> dict[int, dict[int, float]]:
        """Return {seed: {step: value}} of the finished replicates, at the steps that all of them report."""
        series = {
            r.seed: {
                point.step: value
                for point in r.reports
                if (value := _at(point.metrics, self.metric_text)) is not None
            }
            for r in self.sample(name).replicates
            if r.status == "finished"
        }
        common = sorted(set.intersection(*map(set, series.values()))) if series else []
        return {seed: {step: points[step] for step in common} for seed, points in series.items()}

    def _value(self, replicate: Replicate) -> float | None:
        """Return the statistic of a replicate's reports that the claim asks for."""
        if self.claim.statistic == "last":
            return _at(replicate.final_metrics, self.metric_text)
        read = (_at(point.metrics, self.metric_text) for point in replicate.reports)
        values = [value for value in read if value is not None]
        if not values:
            return None
        best = max(values) if self.metric.direction == "maximise" else min(values)
        return best if self.claim.statistic == "best" else values[-1] / best

    @staticmethod
    def _read(sample: Sample, value_of: Callable[[Replicate], float | None]) -> dict[int, float]:
        finished = (replicate for replicate in sample.replicates if replicate.status == "finished")
        return {r.seed: value for r in finished if (value := value_of(r)) is not None}

    @property
    def runs_along_steps(self) -> bool:
        """Whether what varies is the step, so that each arm is a series of its own."""
        return self.claim.over == STEP


def _at(metrics: Mapping[str, float], text: str) -> float | None:
    """Return a metric, or the difference `a - b` of two, in one report; None if it lacks one."""
    names = text.split(" - ")
    if any(name not in metrics for name in names):
        return None
    first, *rest = (metrics[name] for name in names)
    return first - sum(rest)
