"""The verb `gc`: remove checkpoints that nothing continues from and what the dead left, and forecast the rest."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.records.description import MetricInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Key, Replicate
from analysis.records.statuses import RESULTS
from cluster.inventory import local_inventory
from sweeps.cli.stored_sweep import StoredSweep
from sweeps.errors import UserError
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import ReplicateLeases, claims_in, living_drivers
from sweeps.store.usage import DiskForecast, forecast, size_mib

TEMPORARY_SECONDS = 60.0
"""A temporary file older than this is nobody's any more: it is written and renamed at once."""


@dataclass(frozen=True)
class Keep:
    """Which checkpoints stay of replicates without a result, which could be continued from them."""

    text: str
    best: int | None
    """Keep this many, those with the best newest report; None: all of them."""

    @classmethod
    def parse(cls, text: str) -> Keep:
        """Read `last` (all of them), `none`, or `best:N`.

        Raises:
            UserError: If it is anything else.
        """
        found = re.fullmatch(r"last|none|best:([1-9]\d*)", text)
        if found is None:
            raise UserError(f"--keep {text}: write last, none, or best:N with N of at least 1")
        counts = {"last": None, "none": 0}
        return cls(text, counts[text] if text in counts else int(found[1]))


@dataclass(frozen=True)
class Leftover:
    """Something on disk that nothing needs any more."""

    path: Path
    reason: str
    mib: float
    key: Key | None = None
    """The replicate that it belongs to, if it does: it is claimed before anything of it is removed."""

    @classmethod
    def measure(cls, path: Path, reason: str, key: Key | None = None) -> Leftover:
        """Return a leftover with its size on disk."""
        return cls(path, reason, size_mib(path), key)


def leftovers(stored: StoredSweep, keep: Keep) -> list[Leftover]:
    """Return what `gc` would remove: never the journal, nor what a replicate has computed and logged."""
    found = list(_checkpoints(stored, keep))
    gone = [leftover.path for leftover in found]
    return [*found, *_temporary(stored.folder.path, gone), *_of_the_dead(stored.folder.claims)]


def _replicates_on_disk(folder: ResultsFolder) -> Iterator[tuple[Key, Path]]:
    for path in sorted(folder.path.glob("replicates/*/seed=*")):
        seed = path.name.removeprefix("seed=")
        if seed.isdecimal():
            yield (path.parent.name, int(seed)), path


def _planned(sweep: SweepInfo) -> set[Key]:
    return {(arm.config_id, seed) for arm in sweep.units for seed in arm.seeds}


def _checkpoints(stored: StoredSweep, keep: Keep) -> Iterator[Leftover]:
    """Yield the checkpoints of results, which a killed driver left, of what is no longer planned, and those that
    `keep` gives up."""
    planned = _planned(stored.sweep)
    resumable: dict[Key, Path] = {}
    for key, folder in _replicates_on_disk(stored.folder):
        path = folder / "checkpoint"
        if not path.is_dir() or not any(path.iterdir()):
            continue
        known = stored.state.replicates.get(key)
        if known is not None and known.status in RESULTS:
            yield Leftover.measure(path, "checkpoint of a replicate that has its result", key)
        elif key not in planned:
            yield Leftover.measure(path, "checkpoint of a replicate that the newest sweep does not plan", key)
        else:
            resumable[key] = path
    kept = _best_first(stored.state, stored.sweep, resumable)[: keep.best]
    for key, path in resumable.items():
        if key not in kept:
            yield Leftover.measure(path, f"checkpoint given up by --keep {keep.text}", key)


def _best_first(state: JournalState, sweep: SweepInfo, keys: Iterable[Key]) -> list[Key]:
    """Order replicates by their newest report; those that have reported nothing come last."""
    replicates = {key: state.replicates.get(key) or Replicate(*key) for key in keys}
    metric = ranking_metric(sweep, replicates.values())
    sign = -1.0 if metric.direction == "maximise" else 1.0
    worst = float("inf")

    def rank(key: Key) -> float:
        value = replicates[key].final_metrics.get(metric.name)
        return worst if value is None else sign * value

    return sorted(replicates, key=rank)


def ranking_metric(sweep: SweepInfo, replicates: Iterable[Replicate]) -> MetricInfo:
    """Return the metric that unfinished replicates are ranked by.

    That is the study's own where one of them reports it, else its twin on the validation subset (the whole
    split is scored at the last step only), else the training loss.
    """
    reported = {name for replicate in replicates for name in replicate.final_metrics}
    primary = sweep.metric(sweep.primary_metric)
    same_quantity = primary.name.rpartition("/")[2]
    twins = [m for m in sweep.metrics if m.name.rpartition("/")[2] == same_quantity]
    return next((m for m in (primary, *twins) if m.name in reported), sweep.metric("train/loss"))


def _temporary(folder: Path, gone: Sequence[Path]) -> Iterator[Leftover]:
    now = time.time()
    for path in sorted(folder.rglob("*.tmp")):
        is_inside = any(path.is_relative_to(parent) for parent in gone)
        if not is_inside and path.is_file() and now - path.stat().st_mtime > TEMPORARY_SECONDS:
            yield Leftover.measure(path, "temporary file of a killed process")


def _of_the_dead(claims: Path) -> Iterator[Leftover]:
    """Yield claims, heartbeats and requests to stop of drivers that have died."""
    living = {driver.sweep_id for driver in living_drivers(claims)}
    for key, owner in sorted(claims_in(claims).items()):
        if owner not in living:
            config_id, seed = key
            yield Leftover.measure(
                claims / f"{config_id}.seed={seed}.claim", "claim of a driver that has died", key
            )
    for path in sorted([*claims.glob("*.driver"), *claims.glob("*.stop")]):
        if path.stem not in living:
            yield Leftover.measure(path, "heartbeat of a driver that has died")


def remove(stored: StoredSweep, found: Sequence[Leftover]) -> list[Leftover]:
    """Remove leftovers; return those that are gone.

    Each replicate is claimed first, as a driver claims it: one that starts just now keeps what it needs.

    Raises:
        UserError: If a driver is at work on the study.
    """
    book = ReplicateLeases(stored.folder.claims, f"gc-{uuid.uuid4().hex[:6]}")
    with book as claims:
        at_work = [driver for driver in living_drivers(book.folder) if driver.sweep_id != book.sweep_id]
        if at_work:
            drivers = "; ".join(map(str, at_work))
            raise UserError(f"gc: a driver is at work: {drivers}; stop it or wait for its end; nothing was removed")
        return [leftover for leftover in found if _remove(leftover, claims)]


def _remove(leftover: Leftover, claims: ReplicateLeases) -> bool:
    if leftover.key is None:
        leftover.path.unlink(missing_ok=True)
        return True
    if not claims.claim(*leftover.key):
        return False
    try:
        if leftover.path.is_dir():  # a dead driver's claim has just become ours, and goes when it is released
            shutil.rmtree(leftover.path)
            _remove_if_empty(leftover.path.parent)
    finally:
        claims.release(*leftover.key)
    return True


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _forecast(stored: StoredSweep) -> DiskForecast:
    sizes = ((arm.config_id, seed, arm.num_parameters) for arm in stored.sweep.units for seed in arm.seeds)
    resources = stored.study.resources
    slots = local_inventory().cpus // (resources.cpus_per_trial * resources.workers)
    return forecast(stored.folder, stored.state, dict.fromkeys(sizes), max(1, slots))
