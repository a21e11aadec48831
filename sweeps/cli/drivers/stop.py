"""The verb `stop`: asks drivers to stop through the folder that they share, on any machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from sweeps.cli.stored_sweep import find_results
from sweeps.console import Output
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, UserError
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import Driver, living_drivers, request_stop
from sweeps.studies.catalogue import StudyArguments

if TYPE_CHECKING:
    from sweeps.cli.schemas.types import StopJson, StoppedDriver

WAIT_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class Stopped:
    """A driver that was asked to stop."""

    driver: Driver
    seconds: float | None
    """Until it had ended; None if it has not ended yet."""

    def to_json(self) -> StoppedDriver:
        """Return its entry in `stop --json`."""
        return {
            "sweep_id": self.driver.sweep_id,
            "host": self.driver.host,
            "pid": self.driver.pid,
            "stopped": self.seconds is not None,
            "seconds": self.seconds,
        }


def stop(output: Output, study: StudyArguments) -> int:
    """Ask every driver of a study to stop and wait for that; return the exit code: 1 if one goes on."""
    folder = find_results(*study)
    drivers = living_drivers(folder.leases)
    if not drivers:
        output.say(f"nothing is at work on {folder.experiment}")
    for driver in drivers:
        _ask(folder, driver)
        output.say(f"asked to stop: {driver}")
    asked = []
    for item in _await_ends(folder, drivers):
        asked.append(item)
        if item.seconds is None:
            output.say(f"still at work after {WAIT_SECONDS:.0f} s: {item.driver}")
        else:
            output.say(f"has stopped after {item.seconds:.1f} s: {item.driver}")
    if output.emit:
        stopped: StopJson = {
            "study": folder.study,
            "scale": folder.scale,
            "folder": str(folder.path),
            "drivers": [item.to_json() for item in asked],
        }
        output.emit(stopped)
    return EXIT_FAILURES if any(item.seconds is None for item in asked) else EXIT_DONE


def _ask(folder: ResultsFolder, driver: Driver) -> None:
    by = f"`phasesweep stop` of {psutil.Process().username()}, process {os.getpid()} on {socket.gethostname()}"
    try:
        request_stop(folder.leases, driver.sweep_id, by=by)
    except OSError as error:
        raise UserError(f"cannot write to {folder.leases}: {error}; stop it with Ctrl-C where it runs") from error


def _await_ends(folder: ResultsFolder, drivers: list[Driver]) -> Iterable[Stopped]:
    """Yield each driver as it ends, then those that have not ended in time."""
    started = time.monotonic()
    left = {driver.sweep_id: driver for driver in drivers}
    while left and time.monotonic() - started < WAIT_SECONDS:
        time.sleep(_LOOK_AGAIN_SECONDS)
        living = {driver.sweep_id for driver in living_drivers(folder.leases)}
        for sweep_id in sorted(left.keys() - living):
            yield Stopped(left.pop(sweep_id), round(time.monotonic() - started, 1))
    for driver in left.values():
        yield Stopped(driver, None)
