"""The verb `logs`: what replicates wrote into their log.txt, at once or as they write it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console

from analysis.records.description import ArmInfo
from sweeps.cli.stored_sweep import StoredSweep, find_arm, load_results
from sweeps.console import Emit
from sweeps.errors import UserError, nearest
from sweeps.store.leases import living_drivers

POLL_SECONDS = 0.5
NEWEST_LINES = 40
"""Lines shown of all replicates together, unless `--tail` says otherwise."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}) ")


@dataclass(frozen=True)
class LogFile:
    """The log of one replicate; may not exist yet."""

    arm: str
    seed: int
    path: Path

    @property
    def title(self) -> str:
        """Which replicate it is of."""
        return f"{self.arm} seed {self.seed}"


@dataclass(frozen=True)
class _Line:
    time: float
    """Unix seconds of the entry that the line belongs to; 0 before a file's first entry."""
    file: LogFile
    text: str


class _Reader:
    """Reads what log files hold, and later what they have gained, in the order of time."""

    def __init__(self, files: Sequence[LogFile]) -> None:
        self._files = files
        self._offsets: dict[Path, int] = {}
        self._times: dict[Path, float] = {}

    def poll(self, *, final: bool = False) -> list[_Line]:
        """Return the new lines of all files; `final` also takes a last line without its end."""
        lines = [line for file in self._files for line in self._new_lines(file, final)]
        return sorted(lines, key=lambda line: line.time)  # stable: the lines of one entry stay together

    def _new_lines(self, file: LogFile, final: bool) -> list[_Line]:
        offset = self._offsets.get(file.path, 0)
        try:
            with file.path.open("rb") as stream:
                if offset > stream.seek(0, os.SEEK_END):
                    offset = 0  # removed, and begun anew
                stream.seek(offset)
                new = stream.read()
        except FileNotFoundError:  # not started yet
            return []
        whole = new if final else new[: new.rfind(b"\n") + 1]
        self._offsets[file.path] = offset + len(whole)
        return [self._line(file, text) for text in whole.decode("utf-8", errors="replace").splitlines()]

    def _line(self, file: LogFile, text: str) -> _Line:
        stamp = _STAMP.match(text)
        if stamp:
            self._times[file.path] = datetime.strptime(stamp[1], "%Y-%m-%dT%H:%M:%S%z").timestamp()
        return _Line(self._times.get(file.path, 0.0), file, text)


def log_files(stored: StoredSweep, arm: str | None, seed: int | None) -> list[LogFile]:
    """Return the logs asked for, whether or not they exist: by arm in the study's order, then by seed.

    Raises:
        UserError: If there is no such arm or seed.
    """
    arms = [find_arm(stored.sweep, arm, "logs")] if arm is not None else stored.sweep.units
    unique: dict[str, ArmInfo] = {}
    for chosen in arms:
        unique.setdefault(chosen.config_id, chosen)  # arms that are one configuration run once
    files = [
        LogFile(chosen.arm, each, stored.folder.replicate(chosen.config_id, each) / "log.txt")
        for chosen in unique.values()
        for each in chosen.seeds
    ]
    if seed is None:
        return files
    of_seed = [file for file in files if file.seed == seed]
    if not of_seed:
        known = dict.fromkeys(str(file.seed) for file in files)
        raise UserError(f"--seed {seed}: no such seed; {nearest(str(seed), known)}")
    return of_seed


def logs(
    out: Console,
    emit: Emit | None,
    name: str,
    scale: str,
    sets: Iterable[str],
    *,
    arm: str | None,
    seed: int | None,
    follow: bool,
    tail: int | None,
) -> None:
    """Print logs: of an arm one after the other, of a whole study the newest lines of all."""
    if emit and follow:
        raise UserError("--follow and --json do not go together: JSON ends, following does not")
    stored = load_results(name, scale, sets)
    files = log_files(stored, arm, seed)
    together = arm is None and len(files) > 1
    newest = slice(-(tail or NEWEST_LINES), None) if tail or together else slice(None)
    if follow:
        _follow(stored, files, newest, lambda text: out.print(text, markup=False))
        return
    there = [file for file in files if file.path.exists()]
    if emit:
        emit([_described(file, slice(-tail, None) if tail else slice(None)) for file in there])
    elif not there:
        out.print(f"none of these {len(files)} replicates has started yet", markup=False)
    elif together:
        for line in _Reader(there).poll(final=True)[newest]:
            out.print(f"{line.file.title}: {line.text}", markup=False)
    else:
        _print_one_by_one(out, there, newest)


def _described(file: LogFile, newest: slice) -> dict[str, object]:
    lines = [line.text for line in _Reader([file]).poll(final=True)]
    return {"arm": file.arm, "seed": file.seed, "path": str(file.path), "lines": lines[newest]}


def _print_one_by_one(out: Console, files: Sequence[LogFile], newest: slice) -> None:
    for index, file in enumerate(files):
        gap = "\n" if index else ""
        out.print(f"{gap}{file.title}: {file.path}", markup=False, style="bold")
        for line in _Reader([file]).poll(final=True)[newest]:
            out.print(line.text, markup=False)


def _follow(stored: StoredSweep, files: Sequence[LogFile], newest: slice, say: Callable[[str], None]) -> None:
    """Print the newest lines, then every new one, until no driver is at work any more or Ctrl-C."""
    reader = _Reader(files)
    try:
        while True:
            drivers = living_drivers(stored.folder.leases)  # before reading: their last lines are there then
            for line in reader.poll(final=not drivers)[newest]:
                say(f"{line.file.title}: {line.text}" if len(files) > 1 else line.text)
            if not drivers:
                say("no driver is at work: nothing more will come")
                return
            newest = slice(None)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return
