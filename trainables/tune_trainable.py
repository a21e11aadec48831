"""The Ray Tune trainable of a one-worker trial. Its actor is reused from trial to trial."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ray import tune

from trainables.assignment import Assignment
from trainables.attempt import Attempt

CONFIG_KEY = "assignment"
"""The only key of the Tune configuration: an Assignment as JSON, so that Tune has nothing to resolve in it."""

EVENT_KEY = "replicate_event"
"""The key of a result: an event of the attempt as JSON, because Tune keeps statistics of every number it sees."""

GROUP_KEY = "placement_group"
"""The key of the one result that a trial of several workers has without an event: the workers' placement group."""


class ReplicateTrainable(tune.Trainable):
    """Runs assignments one after another in one process.

    Tune neither checkpoints nor restores it: a replicate continues from its own folder, whoever starts it.
    """

    _events: Iterator[dict[str, Any]]

    def setup(self, config: dict[str, Any]) -> None:
        """Take an assignment; the work, and so every failure of it, happens in `step`."""
        self._events = Attempt(Assignment.from_json(config[CONFIG_KEY])).events()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next assignment in the same process; the model of the last one goes first."""
        del self._events
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Return the next event of the attempt."""
        event = next(self._events)
        return {EVENT_KEY: json.dumps(event), "done": event.get("outcome") is not None}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: see the class."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing: see the class."""
