"""The verb `stop`: ask the drivers at work on a study to stop, on whatever machine they are."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil
from rich.console import Console

from sweeps.console import Emit
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, UserError
from sweeps.store.folder import ResultsFolder, results_root
from sweeps.store.leases import Driver, living_drivers, request_stop
from sweeps.studies.resolve import load_study

WAIT_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class Stopped:
    """A driver that was asked to stop."""

    driver: Driver
    seconds: float | None
    """Until it had ended; None if it has not ended yet."""


def stop(out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str]) -> int:
    """Ask every driver of a study to stop and wait for that; return the exit code: 1 if one goes on."""
    study = load_study(name, scale, sets)
    folder = ResultsFolder.of(results_root(), study)

    def tell(text: str) -> None:
        if not emit:
            out.print(text, markup=False)

    drivers = living_drivers(folder.leases)
    if not drivers:
        tell(f"nothing is at work on {study.name}@{study.folder_name}")
    for driver in drivers:
        _ask(folder, driver)
        tell(f"asked to stop: {driver}")
    asked = []
    for item in _await_ends(folder, drivers):
        asked.append(item)
        if item.seconds is None:
            tell(f"still at work after {WAIT_SECONDS:.0f} s: {item.driver}")
        else:
            tell(f"has stopped after {item.seconds:.1f} s: {item.driver}")
    if emit:
        emit(
            {
                "study": study.name,
                "scale": study.scale,
                "folder": str(folder.path),
                "drivers": [
                    {
                        "sweep_id": item.driver.sweep_id,
                        "host": item.driver.host,
                        "pid": item.driver.pid,
                        "stopped": item.seconds is not None,
                        "seconds": item.seconds,
                    }
                    for item in asked
                ],
            }
        )
    return EXIT_FAILURES if any(item.seconds is None for item in asked) else EXIT_DONE


def _ask(folder: ResultsFolder, driver: Driver) -> None:
    by = f"`phasesweep stop` of {psutil.Process().username()}, process {os.getpid()} on {socket.gethostname()}"
    try:
        request_stop(folder.leases, driver.sweep_id, by=by)
    except OSError as error:
        raise UserError(f"cannot write to {folder.leases}: {error}; stop it with Ctrl-C where it runs") from error


def _await_ends(folder: ResultsFolder, drivers: list[Driver]) -> Iterable[Stopped]:
    """Yield each driver as it ends, and at last those that have not."""
    started = time.monotonic()
    left = {driver.sweep_id: driver for driver in drivers}
    while left and time.monotonic() - started < WAIT_SECONDS:
        time.sleep(_LOOK_AGAIN_SECONDS)
        living = {driver.sweep_id for driver in living_drivers(folder.leases)}
        for sweep_id in sorted(left.keys() - living):
            yield Stopped(left.pop(sweep_id), round(time.monotonic() - started, 1))
    for driver in left.values():
        yield Stopped(driver, None)
