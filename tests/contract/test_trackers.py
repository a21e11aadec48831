"""Every tracker meets every check of the contract, and each check is shown to fail."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sweeps.tracking.contract import CHECKS, ContractError, Held, Store, check_tracker
from sweeps.tracking.mlflow_store import MlflowTracker
from sweeps.tracking.tracker import RunRecord, Tracker, Value, milliseconds
from sweeps.tracking.uri import default_tracking_uri
from tests.support.machine.memory_tracker import HeldRun, MemoryTracker
from tests.support.machine.mlflow_contents import all_runs
from tests.support.sweeps.tracked import give_database


def in_mlflow(folder: Path) -> Store:
    """Return a store of MLflow on SQLite."""
    database = give_database(folder)
    return (lambda: MlflowTracker(default_tracking_uri(folder))), lambda: held(all_runs(database))


def held(runs: list[tuple[str, dict[str, Any]]]) -> list[Held]:
    """Return the runs of an MLflow database in the contract's terms."""
    return [
        Held(
            key=key,
            name=run["name"],
            status=run["status"],
            started_ms=run["start"],
            ended_ms=run["end"],
            parent=run["parent"],
            parameters=run["params"],
            tags=run["tags"],
            points=frozenset((name, Value(*value)) for name, *value in run["points"]),
            latest={name: Value(step, at, value) for name, (value, step, at) in run["latest"].items()},
        )
        for key, run in runs
    ]


def in_memory(folder: Path, tracker: Callable[[list[HeldRun]], Tracker] = MemoryTracker) -> Store:
    """Return a store in this process's memory."""
    store: list[HeldRun] = []

    def read() -> list[Held]:
        return [
            Held(
                key=run.record.key,
                name=run.record.name,
                status=run.record.status,
                started_ms=milliseconds(run.record.started_at),
                ended_ms=None if run.record.ended_at is None else milliseconds(run.record.ended_at),
                parent=run.record.parent,
                parameters=run.record.parameters,
                tags=run.record.tags,
                points=frozenset(run.points),
                latest=run.latest,
            )
            for run in store
        ]

    return (lambda: tracker(store)), read


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("store", [in_mlflow, in_memory])
def test_meets_contract(store: Callable[[Path], Store], check: str, tmp_path: Path) -> None:
    CHECKS[check](*store(tmp_path))


def test_check_tracker_runs_all_of_it(tmp_path: Path) -> None:
    check_tracker(lambda: in_memory(tmp_path))
    with pytest.raises(ContractError):
        check_tracker(lambda: in_memory(tmp_path, Forgetful))


# --- the contract can fail: each defect below must be caught by the check named beside it ---


class Forgetful(MemoryTracker):
    """Drops the last report of a curve."""

    def write(self, record: RunRecord) -> None:
        super().write(record)
        run = self.runs[record.key]
        run.points -= {point for point in run.points if point[1].step == 1499 * 100}


class Orphaned(MemoryTracker):
    """Puts replicates beside their configuration."""

    def write(self, record: RunRecord) -> None:
        super().write(RunRecord(**{**vars(record), "parent": None}))


class OnceOnly(MemoryTracker):
    """Leaves a run as it was first written."""

    def write(self, record: RunRecord) -> None:
        if record.level != "replicate" or not self.has(record.key):
            super().write(record)


class OwnClock(MemoryTracker):
    """Gives numbers the time at which they are written."""

    num_writes = 0

    def write(self, record: RunRecord) -> None:
        super().write(record)
        OwnClock.num_writes += 1
        run = self.runs[record.key]
        run.points |= {(name, value._replace(at_ms=OwnClock.num_writes)) for name, value in run.points}


class WholeReports(MemoryTracker):
    """Takes a report that it has in part for one that it has."""

    def write(self, record: RunRecord) -> None:
        held = {value.step for _, value in self.runs[record.key].points} if self.has(record.key) else set()
        super().write(RunRecord(**{**vars(record), "curve": [p for p in record.curve if p.step not in held]}))


class Hoarding(MemoryTracker):
    """Keeps the points of a lost attempt."""

    def write(self, record: RunRecord) -> None:
        before = set(self.runs[record.key].points) if self.has(record.key) else set()
        super().write(record)
        self.runs[record.key].points |= before


class FirstSummary(MemoryTracker):
    """Keeps the first mean of a configuration."""

    def write(self, record: RunRecord) -> None:
        before = dict(self.runs[record.key].latest) if self.has(record.key) else {}
        super().write(record)
        if record.level == "configuration":
            self.runs[record.key].latest |= before


class Final(MemoryTracker):
    """Does not take back how a run ended."""

    def write(self, record: RunRecord) -> None:
        ended = self.has(record.key) and self.runs[record.key].record.ended_at is not None
        super().write(RunRecord(**{**vars(record), "status": "FAILED"}) if ended else record)


class Mixed(MemoryTracker):
    """Takes the runs of all journals for its own."""

    def open(self, experiment: str, sweep_ids: Sequence[str]) -> None:
        super().open(experiment, [*sweep_ids, *(run.journal for run in self.store)])


DEFECTS = {
    Orphaned: "levels",
    OnceOnly: "curves",
    Forgetful: "long_curves",
    OwnClock: "written_twice",
    WholeReports: "cut_short",
    Hoarding: "lost_points",
    FirstSummary: "summaries",
    Final: "ends",
    Mixed: "journals",
}


@pytest.mark.parametrize(("defect", "check"), DEFECTS.items(), ids=lambda case: getattr(case, "__name__", case))
def test_defect_breaks_its_check(defect: type[MemoryTracker], check: str, tmp_path: Path) -> None:
    make, read = in_memory(tmp_path, defect)
    with pytest.raises(ContractError):
        CHECKS[check](make, read)


def test_every_check_is_shown_to_fail() -> None:
    assert set(DEFECTS.values()) == CHECKS.keys()


def test_the_interface_has_five_methods() -> None:
    methods = [name for name, _ in inspect.getmembers(Tracker, inspect.isfunction) if not name.startswith("_")]
    assert methods == ["close", "describe", "has", "open", "write"]
