"""The journal's event schema, and the state of a study that its events add up to.

A journal is a folder of `<sweep_id>.jsonl` files, one per driver, one event a line. The state does not
depend on how the files interleave: events are ordered by (time, sweep_id, line). `sweeps/` writes by this
module, so that format and reader cannot drift apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from analysis.claims import Claim, ClaimError
from analysis.family_probes import RESONANT, TPI
from analysis.replicates import Attempt, Replicate, ReportPoint

FORMAT_VERSION = 1

Status = Literal["finished", "diverged", "pruned", "oom", "timed_out", "crashed", "preempted"]

STATUSES: tuple[Status, ...] = ("finished", "diverged", "pruned", "oom", "timed_out", "crashed", "preempted")
"""How a replicate can end."""

RESULTS: frozenset[str] = frozenset({"finished", "diverged", "pruned"})
"""Statuses that are science: final, unless somebody reopens the replicate."""

FAILURES: frozenset[str] = frozenset({"oom", "timed_out", "crashed"})
"""Statuses that make `run` exit with 1."""

EVENTS: frozenset[str] = frozenset({"sweep", "started", "report", "interrupted", "reopened", *STATUSES})
"""What a line can say. `reopened` takes back how a replicate ended, because somebody asked for a second run."""


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
    """Items a rate is over, in each seed; None where it is no rate, or an old journal does not say."""


def _shared(name: str, unit: str, direction: Literal["minimise", "maximise", "none"], meaning: str) -> MetricInfo:
    return MetricInfo(name=name, unit=unit, direction=direction, meaning=meaning)


FAMILY_PROBES: tuple[MetricInfo, ...] = tuple(
    _shared(f"probe/{name}", unit, "none", meaning) for name, unit, meaning in (*RESONANT, *TPI)
)

SHARED_METRICS: tuple[MetricInfo, ...] = (
    _shared("train/loss", "nats/token", "minimise", "mean training loss since the last report"),
    _shared("train/learning_rate", "1", "none", "learning rate of the last step"),
    _shared("train/gradient_norm", "1", "none", "gradient norm of the last step, before clipping"),
    _shared("train/scored_step", "step", "none", "optimiser steps of the weights that were scored whole"),
    _shared("train/tokens_per_second", "token/s", "maximise", "training speed since the last report"),
    _shared("probe/loss_future_visible", "nats/token", "minimise", "loss with the whole window as input"),
    _shared("probe/loss_future_withheld", "nats/token", "minimise", "loss with the input cut after each position"),
    _shared("probe/leak", "nats/token", "none", "what later tokens are worth: withheld minus visible loss"),
    _shared("probe/coupling", "rad/time", "none", "coupling strength K, mean over layers and heads"),
    *(
        metric
        for name, meaning in (
            ("oscillators", "order parameter over the oscillators of a head"),
            ("positions", "order parameter over the positions of a window"),
            ("pooled", "order parameter over oscillators and positions together"),
            ("published", "PhaseGPT's statistic: angles averaged over heads, then over oscillators"),
        )
        for metric in (
            _shared(f"probe/order_{name}", "1", "none", meaning),
            _shared(f"probe/order_{name}_null", "1", "none", f"{meaning}, for uniform random phases"),
        )
    ),
    *FAMILY_PROBES,
)
"""Metrics of the training loop and the probes, the same in every study; a task adds its own."""


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
    role: Literal["baseline", "treatment", "control", "prerequisite"] = "treatment"
    note: str = ""
    data_hash: str = ""
    """Hash of the data the arm trains on."""
    predicted_memory_mib: float | None = None
    """Peak that the plan expects of a trial, its process included."""


@dataclass(frozen=True, kw_only=True)
class ContrastInfo:
    """A planned comparison of two arms beside those with the baseline."""

    arm: str
    against: str
    meaning: str
    """What the difference `arm` − `against` is the size of."""


@dataclass(frozen=True, kw_only=True)
class ExternalInfo:
    """Values somebody else measured, that the baseline must agree with."""

    name: str
    metric: str
    values: tuple[float, ...]
    """One value a seed of theirs."""
    source: str


@dataclass(frozen=True, kw_only=True)
class SweepInfo:
    """The first line of a journal: which study, which arms, which metrics."""

    study: str
    scale: str
    title: str
    primary_metric: str
    metrics: tuple[MetricInfo, ...]
    """Those of the task; see `all_metrics`."""
    arms: tuple[ArmInfo, ...]
    prerequisites: tuple[ArmInfo, ...] = ()
    """What is trained for arms to start with; not compared with anything."""
    references: dict[str, dict[str, float]] = field(default_factory=dict)
    """What simple models score: {reference: {metric: value}}."""
    contrasts: tuple[ContrastInfo, ...] = ()
    claims: tuple[Claim, ...] = ()
    external: tuple[ExternalInfo, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    """Versions, git commit, data hash, machine."""
    format_version: int = FORMAT_VERSION

    @property
    def units(self) -> tuple[ArmInfo, ...]:
        """Everything that is trained: the prerequisites, then the arms."""
        return (*self.prerequisites, *self.arms)

    @property
    def baseline(self) -> ArmInfo:
        """The arm the others are compared with."""
        return next(arm for arm in self.arms if arm.role == "baseline")

    def metric(self, name: str) -> MetricInfo:
        """Return the metric called `name`.

        Raises:
            KeyError: If the study has no such metric.
        """
        for metric in self.all_metrics:
            if metric.name == name:
                return metric
        raise KeyError(f"no metric '{name}'; known: {', '.join(m.name for m in self.all_metrics)}")

    @property
    def all_metrics(self) -> tuple[MetricInfo, ...]:
        """The task's metrics, then the shared ones."""
        return (*self.metrics, *SHARED_METRICS)

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> SweepInfo:
        """Read the first line of a journal.

        Raises:
            JournalError: If a key is missing or unknown: another version of phasesweep wrote it.
        """
        fields = {k: v for k, v in event.items() if k not in {"time", "sweep_id", "event"}}
        try:
            fields["metrics"] = tuple(MetricInfo(**m) for m in fields["metrics"])
            for kind in ("arms", "prerequisites"):
                given = fields.get(kind, ()) if kind == "prerequisites" else fields[kind]
                fields[kind] = tuple(ArmInfo(**{**arm, "seeds": tuple(arm["seeds"])}) for arm in given)
            fields["contrasts"] = tuple(ContrastInfo(**c) for c in fields.get("contrasts", ()))
            fields["claims"] = tuple(Claim.from_mapping(c) for c in fields.get("claims", ()))
            external = fields.get("external", ())
            fields["external"] = tuple(ExternalInfo(**{**e, "values": tuple(e["values"])}) for e in external)
            return cls(**fields)
        except (KeyError, TypeError, ClaimError) as error:
            raise JournalError(
                f"sweep {event['sweep_id']}: another version of phasesweep described it ({error})"
            ) from error


@dataclass
class JournalState:
    """What all events of a journal add up to."""

    sweep: SweepInfo | None = None
    """The newest description."""
    replicates: dict[tuple[str, int], Replicate] = field(default_factory=dict)

    def replicate(self, config_id: str, seed: int) -> Replicate:
        """Return the replicate, made empty if the journal has not named it yet."""
        key = (config_id, seed)
        return self.replicates.setdefault(key, Replicate(config_id, seed))

    def apply(self, event: dict[str, Any]) -> None:
        """Add one event; events must come in order of (time, sweep_id, line)."""
        kind = event["event"]
        if kind == "sweep":
            self.sweep = SweepInfo.from_event(event)
            return
        if kind == "interrupted":
            return
        replicate = self.replicate(event["config_id"], event["seed"])
        if kind == "started":
            replicate.starts += 1
        if kind == "reopened":
            self.replicates[event["config_id"], event["seed"]] = replicate.reopened(anew=event["anew"])
        elif kind not in {"started", "report"}:
            self._end(replicate, event)
        elif replicate.status in RESULTS:
            return  # a result is final: a second attempt is counted, but changes nothing
        elif kind == "started":
            replicate.started_at = event["time"]
            replicate.add_attempt(Attempt(event["sweep_id"], event.get("step", 0), event.get("numerics", {})))
            replicate.host, replicate.pid = event.get("host", ""), event.get("pid")
            replicate.cap_mib = event.get("cap_mib")
        else:
            replicate.add_report(ReportPoint(event["step"], event["time"], event["metrics"]))

    @staticmethod
    def _end(replicate: Replicate, event: dict[str, Any]) -> None:
        replicate.crashes += event["event"] == "crashed"
        replicate.num_ooms += event["event"] == "oom"
        replicate.num_killed += event.get("killed", False)
        replicate.ends += event["event"] in RESULTS
        if replicate.status in RESULTS:
            return  # a result is final: a later failure of a second attempt cannot take it back
        replicate.status = event["event"]
        replicate.ended_at = event["time"]
        replicate.seconds = event.get("seconds")
        replicate.cpu_seconds = event.get("cpu_seconds")
        replicate.peak_memory_mib = event.get("peak_memory_mib")
        replicate.message = event.get("message", "")
        replicate.retry = event.get("retry", "")


def parse_line(line: str | bytes, *, where: str) -> dict[str, Any]:
    """Read one line of a journal.

    Raises:
        JournalError: If it is no JSON object with `time`, `sweep_id` and a known `event`.
    """
    try:
        event = json.loads(line, parse_constant=_refuse_constant)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors too
        raise JournalError(
            f"{where}: not JSON ({error}); the line is damaged: restore the file, "
            "or delete the line and lose its event"
        ) from error
    if not isinstance(event, dict) or not {"time", "sweep_id", "event"} <= event.keys():
        raise JournalError(f"{where}: an event needs time, sweep_id and event")
    if event["event"] not in EVENTS:
        raise JournalError(f"{where}: unknown event '{event['event']}'; written by a newer phasesweep?")
    missing = _REQUIRED.get(event["event"], {"config_id", "seed"}) - event.keys()
    if missing:
        raise JournalError(f"{where}: '{event['event']}' lacks {', '.join(sorted(missing))}")
    return event


_REQUIRED: dict[str, set[str]] = {
    "sweep": set(),  # SweepInfo.from_event checks it
    "interrupted": set(),
    "reopened": {"config_id", "seed", "reason", "anew"},
    "report": {"config_id", "seed", "step", "metrics"},
}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of one journal file; a torn last line (a killed driver's) is ignored.

    Raises:
        JournalError: If any other line is unreadable.
    """
    lines = path.read_bytes().split(b"\n")  # bytes: a torn line may end inside a character
    complete, tail = lines[:-1], lines[-1]
    for number, line in enumerate(complete, start=1):
        yield parse_line(line, where=f"{path}:{number}")
    if tail:
        try:
            yield parse_line(tail, where=f"{path}:{len(lines)}")
        except JournalError:
            return  # torn: the driver died while writing it, so it never took effect


def merge(events: Iterable[dict[str, Any]]) -> JournalState:
    """Add up events of any number of drivers, given in any order between files.

    Events of one driver must keep their order; ties in time are broken by sweep_id.
    """
    state = JournalState()
    for event in sorted(events, key=lambda e: (e["time"], e["sweep_id"])):
        state.apply(event)
    return state


def read_journal(path: Path) -> JournalState:
    """Read a journal: a folder of `.jsonl` files, or one file (a compact journal).

    Raises:
        FileNotFoundError: If there is none.
        JournalError: If a line is unreadable.
    """
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
    elif path.is_file():
        files = [path]
    else:
        raise FileNotFoundError(f"no journal at {path}")
    return merge(event for file in files for event in read_events(file))


def clean_metrics(metrics: dict[str, float]) -> tuple[dict[str, float], list[str]]:
    """Split metrics into finite ones and the names of those that are not (JSON has no NaN)."""
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return finite, sorted(metrics.keys() - finite.keys())
