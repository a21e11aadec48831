"""The replicate of a kit that is run again to verify it: what it scored, and how near another run must come."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate

EXPECTED = "expected.json"

RELATIVE_TOLERANCE = 0.004
"""Ten times the largest difference that was seen between instruction sets of processors, .0011 of 3.1 bits a byte;
far below the differences between seeds."""
ITEMS = 10
"""By so many items a rate may differ, for the same reason."""

_OF_THE_MACHINE = frozenset({"token/s", "MiB", "s", "ms"})
"""Units of metrics that measure the machine: they are never equal."""
_NOT_COMPARED = frozenset({"cpu", "gpu", "peak_memory_method"})
"""Numerics that do not change results, or name a processor whose instruction set stands beside it."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The last report of one replicate, to the last bit."""

    study: str
    scale: str
    arm: str
    seed: int
    config_id: str
    data_hash: str
    step: int
    seconds: float
    numerics: dict[str, Any]
    metrics: dict[str, float]
    """Without those that measure the machine."""
    primary_metric: str
    tolerance: float
    """By which the primary metric may differ where numerics do."""

    @classmethod
    def read(cls, folder: Path) -> Expected:
        """Read it from a kit.

        Raises:
            ValueError: If it is missing, or not one that this version writes.
        """
        path = folder / EXPECTED
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{path}: cannot be read ({error})") from error

    def to_json(self) -> dict[str, Any]:
        """Return what the kit holds."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """How another run of the replicate differs."""

    numerics: dict[str, str]
    """Fields of the numerics that differ, as `there | here`."""
    metrics: dict[str, tuple[float, float | None]]
    """Metrics that are not equal to the last bit: (there, here)."""
    primary: float | None
    """Here − there; None if there is no value here."""

    def is_within(self, tolerance: float) -> bool:
        """Return whether the primary metric is as near as it must be where numerics differ."""
        return self.primary is not None and abs(self.primary) <= tolerance


def nominate(state: JournalState, sweep: SweepInfo) -> Expected | None:
    """Return the finished replicate that was the cheapest; None if none has finished."""
    candidates = [
        (replicate.seconds, arm, replicate)
        for arm in sweep.arms
        for seed in arm.seeds
        if (replicate := state.replicates.get((arm.config_id, seed))) is not None
        and replicate.status == "finished"
        and replicate.seconds is not None
        and sweep.primary_metric in replicate.final_metrics
    ]
    if not candidates:
        return None
    seconds, arm, replicate = min(candidates, key=lambda found: found[0] or 0.0)
    value, info = replicate.final_metrics[sweep.primary_metric], sweep.metric(sweep.primary_metric)
    return Expected(
        study=sweep.study,
        scale=sweep.scale,
        arm=arm.arm,
        seed=replicate.seed,
        config_id=arm.config_id,
        data_hash=arm.data_hash,
        step=replicate.reports[-1].step,
        seconds=float(seconds or 0.0),
        numerics=dict(replicate.numerics),
        metrics=_of_results(replicate, sweep),
        primary_metric=sweep.primary_metric,
        tolerance=ITEMS / info.items if info.items else RELATIVE_TOLERANCE * abs(value),
    )


def difference(expected: Expected, replicate: Replicate) -> Difference:
    """Return how a new run of the expected replicate differs from it."""
    here = replicate.final_metrics
    names = {*expected.numerics, *replicate.numerics} - _NOT_COMPARED
    numerics = {
        name: f"{expected.numerics.get(name)} | {replicate.numerics.get(name)}"
        for name in sorted(names)
        if expected.numerics.get(name) != replicate.numerics.get(name)
    }
    value = here.get(expected.primary_metric)
    return Difference(
        numerics,
        {name: (there, here.get(name)) for name, there in expected.metrics.items() if here.get(name) != there},
        None if value is None else value - expected.metrics[expected.primary_metric],
    )


def _of_results(replicate: Replicate, sweep: SweepInfo) -> dict[str, float]:
    units = {metric.name: metric.unit for metric in sweep.all_metrics}
    found = replicate.final_metrics
    return {name: value for name, value in found.items() if units.get(name) not in _OF_THE_MACHINE}
