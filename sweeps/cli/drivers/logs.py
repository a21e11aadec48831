"""The verb `logs`: print the log.txt of replicates, or follow them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sweeps.cli.stored_sweep import StoredSweep, find_arm, load_results
from sweeps.console import Output
from sweeps.errors import UserError, nearest
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import living_drivers
from sweeps.studies.catalogue import StudyArguments

if TYPE_CHECKING:
    from sweeps.cli.schemas.types import LogJson

POLL_SECONDS = 0.5
QUIET_SECONDS = 5.0
"""After this long without a new line, `--follow` switches to another log that is growing."""

NEWEST_LINES = 10
"""Lines shown of each log of a whole study, and before following one, unless `--tail` is set."""


@dataclass(frozen=True)
class LogFile:
    """The log of one replicate; may not exist yet."""

    arm: str
    seed: int
    path: Path

    @property
    def title(self) -> str:
        """Its replicate and its path."""
        return f"{self.arm} seed {self.seed}: {self.path}"

    def lines(self, tail: int | None = None, *, whole: bool = False) -> list[str]:
        """Return its lines, or only the last `tail`; with `whole` without one that is still being written."""
        data = self.path.read_bytes()
        if whole:
            data = data[: data.rfind(b"\n") + 1]
        lines = data.decode("utf-8", errors="replace").splitlines()
        return lines[-tail:] if tail else lines

    def to_json(self, tail: int | None) -> LogJson:
        """Return its entry in `logs --json`."""
        return {"arm": self.arm, "seed": self.seed, "path": str(self.path), "lines": self.lines(tail)}


def log_files(stored: StoredSweep, arm: str | None, seed: int | None) -> list[LogFile]:
    """Return the requested logs, existing or not: by arm in the study's order, then by seed.

    Raises:
        UserError: If there is no such arm or seed.
    """
    arms = [find_arm(stored.sweep, arm, "logs")] if arm is not None else stored.sweep.units
    unique = {one.config_id: one for one in reversed(arms)}  # arms that are one configuration run once
    files = [
        LogFile(one.arm, each, stored.folder.replicate(one.config_id, each) / "log.txt")
        for one in reversed(unique.values())
        for each in one.seeds
    ]
    chosen = [file for file in files if seed in {None, file.seed}]
    if not chosen:
        raise UserError(f"--seed {seed}: no such seed; {nearest(str(seed), {str(file.seed) for file in files})}")
    return chosen


def logs(
    output: Output, study: StudyArguments, *, arm: str | None, seed: int | None, follow: bool, tail: int | None
) -> None:
    """Print logs one after the other: of an arm whole, of a study the last lines of each."""
    if output.emit and follow:
        raise UserError("--follow and --json do not go together: JSON ends, following does not")
    stored = load_results(*study)
    files = log_files(stored, arm, seed)
    if follow:
        _follow(stored.folder, files, tail or NEWEST_LINES, output.say)
        return
    there = [file for file in files if file.path.exists()]
    if output.emit:
        output.emit([file.to_json(tail) for file in there])
    elif not there:
        output.say(f"none of these {len(files)} replicates has started yet")
    else:
        _print(output.console, there, tail or (NEWEST_LINES if arm is None else None))


def _print(out: Console, files: Sequence[LogFile], tail: int | None) -> None:
    for index, file in enumerate(files):
        out.print(("\n" if index else "") + file.title, markup=False, style="bold")
        for line in file.lines(tail):
            out.print(line, markup=False)


def _follow(folder: ResultsFolder, files: Sequence[LogFile], tail: int, say: Callable[[str], None]) -> None:
    """Print one log as it grows; when it is quiet, the one written last. Ends with the last driver or Ctrl-C."""
    shown: LogFile | None = None
    seen, heard_at = 0, -QUIET_SECONDS
    try:
        while True:
            at_work = living_drivers(folder.leases)  # before reading, so that no last line is missed
            newest = max((f for f in files if f.path.exists()), key=lambda f: f.path.stat().st_mtime, default=None)
            if newest is not None and newest != shown and time.monotonic() - heard_at >= QUIET_SECONDS:
                shown, seen = newest, max(0, len(newest.lines(whole=True)) - tail)
                if len(files) > 1:
                    say(newest.title)
            lines = shown.lines(whole=bool(at_work)) if shown else []
            for line in lines[seen if seen <= len(lines) else 0 :]:  # fewer than before: the file was started again
                say(line)
                heard_at = time.monotonic()
            seen = len(lines)
            if not at_work:
                say("no driver is at work: nothing more will come")
                return
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return
