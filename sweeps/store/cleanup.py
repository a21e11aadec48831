"""The verb `gc`: remove checkpoints that nothing continues from, and what dead drivers and processes left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Key
from analysis.records.searching import SearchedArm
from analysis.records.statuses import COMPLETE
from sweeps.errors import UserError
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import filesystem_time, leases_in, living_drivers, not_leased
from sweeps.store.usage import size_mib

KEEP = ("last", "none")
"""Which checkpoints of replicates that may still be continued stay: all, or none."""

TEMPORARY_SECONDS = 60.0
"""A temporary file older than this is stale: such a file is renamed as soon as it is written."""


@dataclass(frozen=True)
class Leftover:
    """A file or folder that is no longer needed."""

    path: Path
    reason: str
    mib: float
    key: Key | None = None
    """Its replicate, if it belongs to one: nobody may lease that during the removal."""

    @classmethod
    def measure(cls, path: Path, reason: str, key: Key | None = None) -> Leftover:
        """Return a leftover with its size on disk."""
        return cls(path, reason, size_mib(path), key)


def leftovers(folder: ResultsFolder, state: JournalState, sweep: SweepInfo, keep: str) -> list[Leftover]:
    """Return what `gc` would remove: never the journal, nor the curves and logs of a replicate.

    Raises:
        UserError: If `keep` is not one of `KEEP`.
    """
    if keep not in KEEP:
        raise UserError(f"--keep {keep}: write {' or '.join(KEEP)}")
    found = list(_checkpoints(folder, state, sweep, keep))
    gone = [leftover.path for leftover in found]
    return [*found, *_temporary(folder.path, gone), *_of_dead_drivers(folder.leases)]


def _checkpoints(results: ResultsFolder, state: JournalState, sweep: SweepInfo, keep: str) -> Iterator[Leftover]:
    """Yield the checkpoints of replicates with a result or no longer planned, and all others if `keep` is none.

    A pruned replicate may be promoted, and then continues, as long as something of the study is to run.
    """
    is_done = not any(state.is_pending((unit.config_id, seed)) for unit in sweep.units for seed in unit.seeds)
    is_done = is_done and all(one.search in state.searches.winners for one in _searched(sweep))
    through = COMPLETE | {"pruned"} if is_done else COMPLETE
    planned = {arm.config_id for arm in sweep.units}  # whatever the seeds: the next run may have more of them
    for key, folder in _replicates_on_disk(results):
        path = folder / "checkpoint"
        if not path.is_dir() or not any(path.iterdir()):
            continue
        replicate = state.replicates.get(key)
        if replicate is not None and replicate.status in through:
            yield Leftover.measure(path, "checkpoint of a replicate that has its result", key)
        elif key[0] not in planned:
            yield Leftover.measure(path, "checkpoint of a configuration that the newest sweep does not plan", key)
        elif keep == "none":
            yield Leftover.measure(path, "checkpoint given up by --keep none", key)


def _searched(sweep: SweepInfo) -> tuple[SearchedArm, ...]:
    return sweep.search.arms if sweep.search else ()


def _replicates_on_disk(folder: ResultsFolder) -> Iterator[tuple[Key, Path]]:
    for path in sorted(folder.path.glob("replicates/*/seed=*")):
        seed = path.name.removeprefix("seed=")
        if seed.isdecimal():
            yield (path.parent.name, int(seed)), path


def _temporary(folder: Path, gone: Sequence[Path]) -> Iterator[Leftover]:
    now = filesystem_time(folder)
    if now is None:  # the folder is not writable, so nothing can be removed
        return
    for path in sorted(folder.rglob("*.tmp")):
        is_inside = any(path.is_relative_to(parent) for parent in gone)
        if not is_inside and path.is_file() and now - path.stat().st_mtime > TEMPORARY_SECONDS:
            yield Leftover.measure(path, "temporary file of a killed process")


def _of_dead_drivers(leases: Path) -> Iterator[Leftover]:
    """Yield leases, heartbeats and requests to stop of drivers that have died."""
    living = {driver.sweep_id for driver in living_drivers(leases)}
    for key, owner in sorted(leases_in(leases).items()):
        if owner not in living:
            config_id, seed = key
            path = leases / f"{config_id}.seed={seed}.lease"
            yield Leftover.measure(path, "lease of a driver that has died", key)
    for path in sorted([*leases.glob("*.driver"), *leases.glob("*.stop")]):
        if path.stem not in living:
            yield Leftover.measure(path, "heartbeat of a driver that has died")


def remove(folder: ResultsFolder, found: Sequence[Leftover]) -> list[Leftover]:
    """Remove leftovers; return those that are gone. Needs no space: it works on a full disk.

    Nothing of a leased replicate is removed, so that a driver may start meanwhile.

    Raises:
        UserError: If a driver is at work on the study.
    """
    at_work = living_drivers(folder.leases)
    if at_work:
        drivers = "; ".join(map(str, at_work))
        raise UserError(f"gc: a driver is at work: {drivers}; stop it or wait for its end; nothing was removed")
    return [leftover for leftover in found if _remove(leftover, folder.leases)]


def _remove(leftover: Leftover, leases: Path) -> bool:
    if leftover.key is None:
        leftover.path.unlink(missing_ok=True)
        return True
    with not_leased(leases, *leftover.key) as is_free:
        if is_free and leftover.path.is_dir():
            shutil.rmtree(leftover.path)
            _remove_if_empty(leftover.path.parent)
        elif is_free:
            leftover.path.unlink(missing_ok=True)
    return is_free


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
