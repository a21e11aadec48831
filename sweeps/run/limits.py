"""The limits of a run: how long it may take, how many replicates it may start, and why it stops."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sweeps.errors import UserError


class RunLimits:
    """When a run stops.

    After a stop request (Ctrl-C, `stop`, the time limit, a failure of Ray) running replicates are shut down
    gracefully and can be continued. Once the start limit is reached no more replicates start, and those that run
    continue to their end.

    Args:
        max_hours: Wall time from now; None: no limit.
        max_trials: Replicates to start; None: no limit.

    Raises:
        UserError: If a limit is not a positive, finite number.
    """

    def __init__(self, *, max_hours: float | None = None, max_trials: int | None = None) -> None:
        if max_hours is not None and not 0 < max_hours < math.inf:
            raise UserError(f"--max-hours must be a positive number of hours, got {max_hours:g}")
        if max_trials is not None and max_trials < 1:
            raise UserError(f"--max-trials must be at least 1, got {max_trials}")
        self._max_hours, self._max_trials = max_hours, max_trials
        self._deadline = math.inf if max_hours is None else time.monotonic() + 3600 * max_hours
        self._num_started = 0
        self._stopped_because: str | None = None
        self._has_failed = False

    def stop(self, reason: str) -> None:
        """End the run; callable from any thread. The first reason counts."""
        self._stopped_because = self._stopped_because or reason

    def fail(self, reason: str) -> None:
        """End the run because of a failure."""
        if self._stopped_because is None:
            self._has_failed = True
            self.stop(reason)

    @property
    def has_failed(self) -> bool:
        """Whether a failure ended the run, rather than a request, a limit or the death of Ray."""
        return self._has_failed

    @property
    def stop_requested(self) -> bool:
        """Whether all replicates must stop now."""
        if time.monotonic() >= self._deadline:
            self.stop(f"--max-hours {self._max_hours:g} reached")
        return self._stopped_because is not None

    @property
    def start_limit_reached(self) -> bool:
        """Whether no more replicates may start; those that run continue to their end."""
        return self._max_trials is not None and self._num_started >= self._max_trials

    def count_start(self) -> None:
        """Count the start of a replicate."""
        self._num_started += 1

    @property
    def stop_reason(self) -> str | None:
        """Why the run ended before everything was done; None if nothing ended it."""
        if self.stop_requested:
            return self._stopped_because
        return f"--max-trials {self._max_trials} reached" if self.start_limit_reached else None

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Turn the first SIGINT or SIGTERM into a graceful stop; a second one has its usual effect."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: Any) -> None:
            self.stop(f"by {signal.Signals(number).name}")
            os.write(sys.stderr.fileno(), b"\nshutting down; press Ctrl-C again to force\n")
            for each, handler in previous.items():
                signal.signal(each, handler)

        for number in previous:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
