"""The Ray Tune trainable of a one-worker trial. Its actor is reused from trial to trial."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ray import tune

from trainables.worker.assignment import CONFIG_KEY, EVENT_KEY, Assignment
from trainables.worker.attempt import Attempt
from trainables.worker.memory_limit import WorkerRecycledError


class ReplicateTrainable(tune.Trainable):
    """Runs assignments one after another in one process.

    Tune neither checkpoints nor restores it: a replicate resumes from its own folder, in whichever process.

    A process that must be recycled (it ran out of memory, or leaked what its trial used) reports the trial's
    end without `done`, and then fails: Tune keeps a process whose trial is done, and ends one that failed.
    """

    _attempt: Attempt
    _events: Iterator[dict[str, Any]]
    _why_spent: str

    def setup(self, config: dict[str, Any]) -> None:
        """Store an assignment; its work, and so every failure, happens in `step`."""
        self._attempt = Attempt(Assignment.from_json(config[CONFIG_KEY]))
        self._events = self._attempt.events()
        self._why_spent = ""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Store the next assignment in the same process, after freeing the model of the last one.

        A trial that Tune has stopped is saved first: `cleanup` is called at the end of a process only.
        """
        self._attempt.stop()
        del self._events, self._attempt
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Return the next event of the attempt.

        Raises:
            WorkerRecycledError: After the last event, if this process must be recycled; see the class.
        """
        if self._why_spent:
            raise WorkerRecycledError(f"this process ends, {self._why_spent}; the result was told before")
        event = next(self._events)
        ended = event.get("outcome") is not None
        if ended:
            next(self._events, None)  # running past the last event frees its resources
            self._why_spent = self._attempt.recycle_reason()
        return {EVENT_KEY: json.dumps(event), "done": ended and not self._why_spent}

    def cleanup(self) -> None:
        """Save a checkpoint: Tune stops this trial, as soon as `step` returns."""
        self._attempt.stop()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing; see the class."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Do nothing; see the class."""
