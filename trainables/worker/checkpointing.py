"""When a replicate in training is saved: by time, between any two steps, and once more when it has to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from trainables.training.loop import Trainer
from trainables.training.parallel.ranks import Ranks

T = TypeVar("T")

SHARE = 0.02
"""Largest fraction of the time that checkpoints may take."""

MIN_SECONDS, MAX_SECONDS = 20.0, 1800.0
"""Shortest time between two checkpoints, however cheap, and the longest, which bounds what a crash may cost."""

MOST_STEPS_AHEAD = 1000


class Spent(NamedTuple):
    """Cost of a replicate, including the attempts that it continues."""

    seconds: float = 0.0
    """Wall time."""
    cpu_seconds: float = 0.0
    """CPU time of all its workers."""


class Checkpoints:
    """Saves a trainer to one file, as often as is worth its cost.

    Several ranks save together, so they have to agree on a step: the first rank decides at which step they check
    next, and only then do they communicate. A single process checks after every step.

    Args:
        path: The file.
        ranks: The processes that train; `between_steps` and the methods that save are collective.
        spent: Returns the cost of the replicate so far; collective, and called when it is saved.
    """

    def __init__(self, path: Path, ranks: Ranks, spent: Callable[[], Spent]) -> None:
        self._path, self._ranks, self._spent = path, ranks, spent
        self._saved_at = self._looked_at = time.monotonic()
        self._cost_seconds = 0.0
        self._saved_step = self._looked_step = self._look_at_step = 0
        self._stop_signal: int | None = None

    def started(self, step: int) -> None:
        """Record that training continues from `step`, which is saved or the first."""
        self._saved_step = self._looked_step = step
        self._saved_at = self._looked_at = time.monotonic()

    @property
    def interval_seconds(self) -> float:
        """Time between the end of a checkpoint and the next one, from the duration of the last one."""
        return min(MAX_SECONDS, max(MIN_SECONDS, self._cost_seconds / SHARE))

    def between_steps(self, trainer: Trainer) -> None:
        """Save the trainer if it is due, or if this process was signalled to end, which it does then."""
        self.save_if_due(trainer)
        if self._stop_signal is not None:
            self.save(trainer)
            signal.raise_signal(self._stop_signal)

    def save_if_due(self, trainer: Trainer) -> None:
        """Save the trainer if it is due."""
        if trainer.step < self._look_at_step:
            return
        is_due, steps = self._ranks.first(self._look(trainer.step))
        self._look_at_step = trainer.step + steps
        if is_due:
            self.save(trainer)

    def _look(self, step: int) -> tuple[bool, int]:
        """Return whether a checkpoint is due, and after how many steps to check again."""
        now = time.monotonic()
        seconds_a_step = (now - self._looked_at) / max(1, step - self._looked_step)
        self._looked_at, self._looked_step = now, step
        left_seconds = self._saved_at + self.interval_seconds - now
        if self._ranks.size == 1:
            return left_seconds <= 0, 1
        wait_seconds = left_seconds if left_seconds > 0 else self.interval_seconds
        return left_seconds <= 0, min(MOST_STEPS_AHEAD, max(1, int(wait_seconds / max(seconds_a_step, 1e-6))))

    def save(self, trainer: Trainer) -> None:
        """Save the trainer now, unless this step is already saved."""
        if trainer.step == self._saved_step:
            return
        began = time.monotonic()
        trainer.save(self._path, self._spent()._asdict())
        self._saved_at = time.monotonic()
        self._cost_seconds, self._saved_step = self._saved_at - began, trainer.step

    def stoppable(self, events: Iterator[T]) -> Iterator[T]:
        """Yield what `events` yields; a SIGTERM meanwhile is deferred until a step has ended and is saved.

        Not if there are several ranks, which would have to receive it at the same step, nor in a thread, which gets
        no signals.
        """
        while True:
            with self._holding_signals():
                event = next(events, None)
            if event is None:
                break
            yield event
        if self._stop_signal is not None:
            signal.raise_signal(self._stop_signal)

    @contextmanager
    def _holding_signals(self) -> Iterator[None]:
        if self._ranks.size > 1 or threading.current_thread() is not threading.main_thread():
            yield
            return

        previous = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL

        def stop(number: int, frame: Any) -> None:
            self._stop_signal = number
            signal.signal(number, previous)

        signal.signal(signal.SIGTERM, stop)
        try:
            yield
        finally:
            if self._stop_signal is None:
                signal.signal(signal.SIGTERM, previous)

    @property
    def is_told_to_stop(self) -> bool:
        """Whether this process was signalled to end."""
        return self._stop_signal is not None
