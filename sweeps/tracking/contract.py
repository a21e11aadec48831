"""The contract suite of trackers, for the author of a new one too.

def empty_store():
    address = make_a_store()
    return (lambda: MyTracker(address)), (lambda: read_what_it_holds(address))

check_tracker(empty_store)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from analysis.records.replicates import ReportPoint
from sweeps.tracking.tracker import RESOURCES, RunRecord, Tracker, Value, milliseconds, values_of

EXPERIMENT = "contract@laptop"
SWEEPS = ("20261122-a", "20261122-b")
_EPOCH = 1_780_000_000.0


class ContractError(AssertionError):
    """A tracker breaks its contract; the message says where."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A run in the store; deleted runs do not count."""

    key: str
    """Key of its record."""
    name: str
    status: str
    started_ms: int
    ended_ms: int | None
    parent: str | None
    """Key of the parent run."""
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    """May have more than the record's, but of `phasesweep.…` only `phasesweep.key`."""
    points: frozenset[tuple[str, Value]]
    """(metric, number): the whole history."""
    latest: Mapping[str, Value]


Make = Callable[[], Tracker]
"""Returns a new tracker on the same store each time, as a restarted process would."""
Read = Callable[[], list[Held]]
"""Returns the runs in the store, read independently of the tracker."""
Store = tuple[Make, Read]


def _configuration(num_ended: int = 2, mean: float = 2.5) -> RunRecord:
    numbers = {"val/loss": mean, "val/loss.ci_low": mean - 0.1, "n_seeds": float(num_ended)}
    return RunRecord(
        key=f"{EXPERIMENT}/c0",
        level="configuration",
        name="baseline",
        started_at=_EPOCH,
        ended_at=None,
        status="RUNNING",
        parameters={"architecture.d_model": "64"},
        tags={"phasesweep.level": "configuration", "mlflow.note.content": f"{num_ended} seeds"},
        summary=ReportPoint(num_ended, _EPOCH + 100 * num_ended, numbers),
    )


def _sweep() -> RunRecord:
    return RunRecord(
        key=f"{EXPERIMENT}/sweep/{SWEEPS[0]}",
        level="sweep",
        name="sweep",
        started_at=_EPOCH,
        ended_at=None,
        status="RUNNING",
        tags={"phasesweep.level": "sweep"},
        summary=ReportPoint(0, _EPOCH, {"replicates/planned": 2.0}),
    )


def _replicate(num_reports: int = 3, *, first_at: float = _EPOCH, ended: bool = True) -> RunRecord:
    reports = [
        ReportPoint(100 * i, first_at + 10 * i, {"train/loss": 3.0 - i / 7, "R² (%)": i / 3})
        for i in range(num_reports)
    ]
    end = first_at + 10 * num_reports
    return RunRecord(
        key=f"{EXPERIMENT}/c0/0",
        level="replicate",
        name="baseline · seed 0",
        started_at=_EPOCH + 1,
        ended_at=end if ended else None,
        status="FINISHED" if ended else "RUNNING",
        parent=f"{EXPERIMENT}/c0",
        parameters={"seed": "0"},
        tags={"phasesweep.level": "replicate"},
        curve=reports,
        summary=ReportPoint(100 * num_reports, end, {"seconds": 12.5}) if ended else None,
    )


def _open(make: Make, sweep_ids: tuple[str, ...] = SWEEPS[:1]) -> Tracker:
    tracker = make()
    tracker.open(EXPERIMENT, sweep_ids)
    return tracker


def _write(tracker: Tracker, read: Read, *records: RunRecord) -> None:
    """Write records, and compare what the store holds of them."""
    for record in records:
        tracker.write(record)
    if not all(tracker.has(record.key) for record in records):
        raise ContractError("`has` denies a run that has just been written")
    held = {run.key: run for run in read()}
    for record in records:
        _compare(held, record)


def _compare(held: Mapping[str, Held], record: RunRecord) -> None:
    if record.key not in held:
        raise ContractError(f"{record.key} is not held")
    run = held[record.key]
    wanted: dict[str, object] = {
        "name": record.name,
        "status": record.status,
        "started_ms": milliseconds(record.started_at),
        "parent": record.parent,
        "parameters": dict(record.parameters),
        "tags": dict(record.tags),
    }
    if record.ended_at is not None:
        wanted["ended_ms"] = milliseconds(record.ended_at)
    own = {k: v for k, v in run.tags.items() if k in record.tags or k.startswith("phasesweep.")}
    own = {k: v for k, v in own.items() if k != "phasesweep.key"}
    for name, value in wanted.items():
        found = own if name == "tags" else getattr(run, name)
        if found != value:
            raise ContractError(f"{record.key}: {name} is {found}, and should be {value}")
    _compare_numbers(run, record)


def _compare_numbers(run: Held, record: RunRecord) -> None:
    summary = dict(values_of([record.summary] if record.summary else []))
    curve = set(values_of(record.curve))
    history = {(name, value) for name, value in run.points if name not in RESOURCES}
    for name, value in summary.items():
        if run.latest.get(name) != value:
            raise ContractError(f"{record.key}: {name} is {run.latest.get(name)}, and should be {value}")
    if record.level == "replicate" and history != curve:
        wrong = sorted(history ^ curve)
        raise ContractError(f"{record.key}: its history differs in {len(wrong)} numbers, the first {wrong[0]}")


def _all_levels(make: Make, read: Read) -> None:
    _write(_open(make), read, _sweep(), _configuration(), _replicate())


def _curves_grow(make: Make, read: Read) -> None:
    tracker = _open(make)
    _write(tracker, read, _configuration(), _replicate(1, ended=False))
    _write(tracker, read, _replicate(2, ended=False))
    _write(_open(make), read, _replicate(5))


def _long_curves(make: Make, read: Read) -> None:
    _write(_open(make), read, _configuration(), _replicate(1500))


def _written_twice(make: Make, read: Read) -> None:
    records = (_sweep(), _configuration(), _replicate())
    tracker = _open(make)
    tracker.describe({"mlflow.note.content": "a study"})
    _write(tracker, read, *records)
    before = _fingerprint(read)
    sent = tracker.written.num_metrics
    for again in (tracker, _open(make)):
        again.describe({"mlflow.note.content": "a study"})
        _write(again, read, *records)
        if _fingerprint(read) != before:
            raise ContractError("writing a second time has changed what is held")
        if again.written.num_metrics not in {0, sent}:
            raise ContractError("numbers were sent that the store already holds")


def _fingerprint(read: Read) -> list[str]:
    return sorted(repr((run.key, run.status, run.ended_ms, sorted(run.points))) for run in read())


def _cut_short(make: Make, read: Read) -> None:
    """Check a writer that died between two numbers of one report."""
    whole = _replicate()
    last = whole.curve[-1]
    partial = replace(last, metrics={"train/loss": last.metrics["train/loss"]})
    cut = replace(whole, curve=[*whole.curve[:-1], partial], ended_at=None, status="RUNNING", summary=None)
    _write(_open(make), read, _configuration(), cut)
    _write(_open(make), read, whole)


def _lost_points(make: Make, read: Read) -> None:
    """Check a continued replicate that repeats two steps at other times, and then a rerun from its first step."""
    lost, other = _replicate(4, ended=False), _replicate(5, first_at=_EPOCH + 500)
    tracker = _open(make)
    _write(tracker, read, _configuration(), lost)
    _write(tracker, read, replace(other, curve=[*lost.curve[:2], *other.curve[2:]]))
    _write(_open(make), read, replace(_replicate(0, ended=False), status="SCHEDULED"))
    _write(_open(make), read, _replicate(2, first_at=_EPOCH + 900))


def _summaries_follow(make: Make, read: Read) -> None:
    tracker = _open(make)
    _write(tracker, read, _configuration(1, mean=2.5))
    _write(tracker, read, _configuration(2, mean=2.25))
    _write(_open(make), read, _configuration(3, mean=2.125))


def _ends_are_taken_back(make: Make, read: Read) -> None:
    crashed = replace(
        _replicate(), status="FAILED", tags={**_replicate().tags, "phasesweep.message": "at step 200"}
    )
    tracker = _open(make)
    _write(tracker, read, _configuration(), crashed)
    _write(tracker, read, replace(_replicate(), status="RUNNING", ended_at=None))
    _write(tracker, read, _replicate(4))


def _journals_keep_apart(make: Make, read: Read) -> None:
    """Check that a new journal leaves the runs of an old one alone, after only the results were deleted."""
    _write(_open(make), read, _configuration(), _replicate())
    before = _fingerprint(read)
    other = _open(make, ("20261201-z",))
    for record in (_configuration(), _replicate(2, first_at=_EPOCH + 500)):
        other.write(record)
    after = _fingerprint(read)
    if len(after) != 2 * len(before) or not set(before) <= set(after):
        raise ContractError("runs of another journal were touched")
    second = _open(make, SWEEPS)
    for record in (_configuration(), _replicate()):
        second.write(record)
    if _fingerprint(read) != after:
        raise ContractError("a second driver's sweep made the journal another one")


CHECKS: dict[str, Callable[[Make, Read], None]] = {
    "levels": _all_levels,
    "curves": _curves_grow,
    "long_curves": _long_curves,
    "written_twice": _written_twice,
    "cut_short": _cut_short,
    "lost_points": _lost_points,
    "summaries": _summaries_follow,
    "ends": _ends_are_taken_back,
    "journals": _journals_keep_apart,
}
"""Each check needs an empty store."""


def check_tracker(empty_store: Callable[[], Store]) -> None:
    """Run every check.

    Args:
        empty_store: Makes an empty store; returns how to make trackers on it, and how to read it.

    Raises:
        ContractError: At the first check that fails.
    """
    for check in CHECKS.values():
        check(*empty_store())
