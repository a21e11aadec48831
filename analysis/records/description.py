"""The description of a sweep in the first line of its journal: arms, metrics, contrasts, claims."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from analysis.claims.claim import Claim, ClaimError
from analysis.records.ablation import AblationInfo
from analysis.records.probes_of_format_1 import PROBES
from analysis.records.searching import SearchInfo

FORMAT_VERSION = 1


_PLACE = re.compile(r"(?P<probe>probe/\w+)/(?P<where>layer\d+(?:/head\d+)?)")


class JournalError(ValueError):
    """A journal that cannot be read; the message names file and line."""


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """A metric as the journal's first line describes it."""

    name: str
    unit: str
    direction: Literal["minimise", "maximise", "none"]
    meaning: str
    chance: float | None = None
    items: int | None = None
    """Number of items a rate is taken over, in each seed; None if it is not a rate, or an old journal lacks it."""
    scored: int | None = None
    """What is counted in these items, such as all tokens of the needles; None: the items, or an old journal."""
    null: str | None = None
    """For a probe: the probe that holds its value in a model without structure."""
    exact: bool = False
    """Whether it follows from the configuration alone: equal for every seed, and without an error of estimation."""


def _shared(name: str, unit: str, direction: Literal["minimise", "maximise", "none"], meaning: str) -> MetricInfo:
    return MetricInfo(name=name, unit=unit, direction=direction, meaning=meaning)


SHARED_METRICS: tuple[MetricInfo, ...] = (
    _shared("train/loss", "nats/token", "minimise", "mean training loss since the last report"),
    _shared("train/learning_rate", "1", "none", "learning rate of the last step"),
    _shared("train/gradient_norm", "1", "none", "gradient norm of the last step, before clipping"),
    _shared("train/scored_step", "step", "none", "optimiser steps of the weights that were scored whole"),
    _shared("train/tokens_per_second", "token/s", "maximise", "training speed since the last report"),
    _shared("probe/loss_future_visible", "nats/token", "minimise", "loss with the whole window as input"),
    _shared("probe/loss_future_withheld", "nats/token", "minimise", "loss with the input cut after each position"),
    _shared("probe/leak", "nats/token", "none", "what later tokens are worth: withheld minus visible loss"),
)
"""Metrics of the training loop and its probes, the same in every study; tasks and families add theirs."""


@dataclass(frozen=True, kw_only=True)
class ArmInfo:
    """An arm as the journal's first line describes it."""

    arm: str
    config_id: str
    parameters: dict[str, Any]
    """The fields in which this arm differs from the study's base, as dotted keys."""
    num_parameters: int
    """Trainable parameters of the model."""
    seeds: tuple[int, ...]
    role: Literal["baseline", "treatment", "control", "prerequisite", "candidate"] = "treatment"
    note: str = ""
    data_hash: str = ""
    """Hash of the data the arm trains on."""
    predicted_memory_mib: float | None = None
    """Expected peak memory of a trial according to the plan, worker process included."""
    claimed: dict[str, Any] = field(default_factory=dict)
    """Its values of the fields along which the study's claims run, those of the study's base too."""


@dataclass(frozen=True, kw_only=True)
class ContrastInfo:
    """A planned comparison of two arms, in addition to the comparisons with the baseline."""

    arm: str
    against: str
    meaning: str
    """What the difference `arm` − `against` measures."""


@dataclass(frozen=True, kw_only=True)
class ExternalInfo:
    """Externally measured values with which the baseline must agree."""

    name: str
    metric: str
    values: tuple[float, ...]
    """One value per external seed."""
    source: str


@dataclass(frozen=True, kw_only=True)
class SweepInfo:
    """The first line of a journal: which study, which arms, which metrics."""

    study: str
    scale: str
    title: str
    primary_metric: str
    metrics: tuple[MetricInfo, ...]
    """The task's metrics; see `all_metrics`."""
    arms: tuple[ArmInfo, ...]
    probes: tuple[MetricInfo, ...] | None = None
    """Probes of the arms' families; None in a journal from before families declared them."""
    prerequisites: tuple[ArmInfo, ...] = ()
    """Configurations trained only so that arms can start from their weights; not compared with anything."""
    references: dict[str, dict[str, float]] = field(default_factory=dict)
    """Scores of simple models: {reference: {metric: value}}."""
    contrasts: tuple[ContrastInfo, ...] = ()
    claims: tuple[Claim, ...] = ()
    external: tuple[ExternalInfo, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    """Versions, git commit, data hash, machine."""
    format_version: int = FORMAT_VERSION
    search: SearchInfo | None = None
    """How the settings of arms are searched for; None: they are as declared."""
    ablation: AblationInfo | None = None
    """Which of the arms lack which components of another one; None: there is no ablation."""
    candidates: tuple[ArmInfo, ...] = ()
    """Configurations that the search has proposed; not in the first line, since they are born later."""

    def with_seeds_of(self, before: SweepInfo) -> SweepInfo:
        """Return this description with the seeds that an earlier one of this folder has for equal configurations.

        A sweep of other seeds adds replicates; those computed before stay in every table.
        """
        known: dict[str, tuple[int, ...]] = {}
        for unit in (*before.planned, *self.planned):
            known[unit.config_id] = tuple(sorted({*known.get(unit.config_id, ()), *unit.seeds}))

        def merged(units: tuple[ArmInfo, ...]) -> tuple[ArmInfo, ...]:
            return tuple(replace(unit, seeds=known[unit.config_id]) for unit in units)

        return replace(self, arms=merged(self.arms), prerequisites=merged(self.prerequisites))

    @property
    def planned(self) -> tuple[ArmInfo, ...]:
        """What was to be trained from the start: the prerequisites, then the arms."""
        return (*self.prerequisites, *self.arms)

    @property
    def units(self) -> tuple[ArmInfo, ...]:
        """Everything that is trained: the prerequisites, the arms, then the candidates of a search."""
        return (*self.planned, *self.candidates)

    @property
    def baseline(self) -> ArmInfo:
        """The arm the others are compared with."""
        return next(arm for arm in self.arms if arm.role == "baseline")

    def metric(self, name: str) -> MetricInfo:
        """Return the metric called `name`; a probe's is also that of one layer or head, as `probe/x/layer1/head0`.

        Raises:
            KeyError: If the study has no such metric.
        """
        place = _PLACE.fullmatch(name)
        for metric in self.all_metrics:
            if metric.name == name:
                return metric
            if place and metric.name == place["probe"]:
                return replace(metric, name=name, meaning=f"{metric.meaning}: {place['where']}")
        raise KeyError(f"no metric '{name}'; known: {', '.join(m.name for m in self.all_metrics)}")

    @property
    def all_metrics(self) -> tuple[MetricInfo, ...]:
        """The task's metrics, then the shared ones and those of the families."""
        probes = (MetricInfo(**probe) for probe in PROBES) if self.probes is None else self.probes
        return (*self.metrics, *SHARED_METRICS, *probes)

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> SweepInfo:
        """Read the first line of a journal.

        Raises:
            JournalError: If a key is missing or unknown, as in a journal of another version of phasesweep.
        """
        fields = {k: v for k, v in event.items() if k not in {"time", "sweep_id", "event"}}
        try:
            fields["metrics"] = tuple(MetricInfo(**m) for m in fields["metrics"])
            if fields.get("probes") is not None:
                fields["probes"] = tuple(MetricInfo(**probe) for probe in fields["probes"])
            for kind in ("arms", "prerequisites"):
                given = fields.get(kind, ()) if kind == "prerequisites" else fields[kind]
                fields[kind] = tuple(ArmInfo(**{**arm, "seeds": tuple(arm["seeds"])}) for arm in given)
            fields["contrasts"] = tuple(ContrastInfo(**c) for c in fields.get("contrasts", ()))
            fields["claims"] = tuple(Claim.from_mapping(c) for c in fields.get("claims", ()))
            external = fields.get("external", ())
            if fields.get("search") is not None:
                fields["search"] = SearchInfo.from_mapping(fields["search"])
            if fields.get("ablation") is not None:
                fields["ablation"] = AblationInfo.from_mapping(fields["ablation"])
            fields["external"] = tuple(ExternalInfo(**{**e, "values": tuple(e["values"])}) for e in external)
            return cls(**fields)
        except (KeyError, TypeError, ClaimError) as error:
            raise JournalError(
                f"sweep {event['sweep_id']}: another version of phasesweep described it ({error})"
            ) from error
