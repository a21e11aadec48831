"""The driver's deadline for each trial, since a process that is frozen as a whole cannot watch itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from trainables.worker.assignment import Assignment
from trainables.worker.watchdog import BEYOND_WATCHDOG_SECONDS

REFRESH_EVERY_SECONDS = 1.0

MARGIN_SECONDS = 15.0
"""How much longer than a worker's watchdog the driver waits: the watchdog comes first, since it leaves stacks."""

START_SECONDS = 180.0
"""How long a trial of several workers may take to start its processes, once Ray has granted its resources."""


@dataclass
class _Trial:
    """The state of a trial that has a process."""

    unresponsive_seconds: float = 0.0
    has_reported: bool = False
    process: str = ""
    """Its process, once it has reported that."""


class Deadlines:
    """Measures the time since the last report of each trial, and returns those that have timed out.

    A trial's time begins when it has its process, not while it waits in Tune's queue. Time in which the driver
    itself was suspended, by a signal or because its machine slept, does not count.

    Args:
        assignments: Trial id → what it runs; grows as trials are made.
        clock: Seconds that never run backwards.
    """

    def __init__(self, assignments: Mapping[str, Assignment], clock: Callable[[], float] = time.monotonic) -> None:
        self._assignments, self._clock = assignments, clock
        self._trials: dict[str, _Trial] = {}
        self._refreshed_at = clock()

    @property
    def are_due(self) -> bool:
        """Whether it is time for the next call of `missed`."""
        return self._clock() - self._refreshed_at >= REFRESH_EVERY_SECONDS

    def started(self, trial_id: str) -> None:
        """Note that a trial has its process and has not reported yet."""
        self._trials[trial_id] = _Trial()

    def heard(self, trial_id: str, process: str = "") -> None:
        """Note a report of a trial, and its process if the report names it."""
        trial = self._trials.setdefault(trial_id, _Trial())
        trial.unresponsive_seconds, trial.has_reported = 0.0, True
        trial.process = process or trial.process

    def missed(self, at_work: Collection[str]) -> dict[str, str]:
        """Return {trial id: message} of the trials in `at_work` that have just missed their deadline.

        Args:
            at_work: The trials that have a process now.
        """
        now = self._clock()
        seconds = min(now - self._refreshed_at, 2 * REFRESH_EVERY_SECONDS)
        self._refreshed_at = now
        before, self._trials = self._trials, {}
        missed = {}
        for trial_id in at_work:
            trial = self._trials[trial_id] = before.get(trial_id, _Trial())
            limit = limit_seconds(self._assignments[trial_id], has_reported=trial.has_reported)
            was_in_time = trial.unresponsive_seconds <= limit
            trial.unresponsive_seconds += seconds
            if was_in_time and trial.unresponsive_seconds > limit:
                missed[trial_id] = _what_is_known(self._assignments[trial_id], trial)
        return missed


def limit_seconds(assignment: Assignment, *, has_reported: bool) -> float:
    """Return how long a trial may stay without a report before the driver ends it.

    Args:
        assignment: What it runs.
        has_reported: Whether it has reported anything since it got its process.
    """
    seconds = assignment.report_timeout_seconds + MARGIN_SECONDS
    if assignment.workers == 1:
        return seconds
    return seconds + BEYOND_WATCHDOG_SECONDS + (0.0 if has_reported else START_SECONDS)


def _what_is_known(assignment: Assignment, trial: _Trial) -> str:
    unresponsive = f"unresponsive for {trial.unresponsive_seconds:.0f} s"
    if assignment.workers > 1 and not trial.has_reported:
        return f"{unresponsive}: its {assignment.workers} workers have not started; the driver ended it"
    who = f"process {trial.process}" if trial.process else "its process"
    if assignment.workers > 1:
        who = f"one of its {assignment.workers} workers (the first is {who}) or what drives them"
    limit = f"{assignment.report_timeout_seconds:g} s without a report"
    return f"{unresponsive}, and no watchdog ended it after {limit}: {who} was frozen; the driver ended it"
