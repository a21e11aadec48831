"""Notices that the replicates of a run crash one after another in the same way."""

from __future__ import annotations

import re

from analysis.records.replicates import Key

MOST_EQUAL_CRASHES = 5
"""Crashes in a row after which a run stops."""

_VARYING = re.compile(r"/\S+|\b[0-9a-f]{8,}\b|\d+")
"""What differs between two messages of one cause: paths, identifiers, numbers."""


class CrashStreak:
    """Says when a run should stop, because whatever it starts next would crash too.

    One broken configuration among others is a result: it stops nothing. A run stops after `MOST_EQUAL_CRASHES`
    crashes of one message, of more than one configuration, if nothing ended otherwise between them and nothing
    that began before the last of them still runs.

    Args:
        is_one_configuration: Whether the run has a single configuration, so that no second one can crash.
    """

    def __init__(self, *, is_one_configuration: bool) -> None:
        self._fewest_configurations = 1 if is_one_configuration else 2
        self._num_begun = 0
        self._running: dict[Key, int] = {}
        """When each replicate began, by count."""
        self._cause = ""
        self._crashed: list[Key] = []

    def begin(self, key: Key) -> None:
        """Count the start of a replicate."""
        self._num_begun += 1
        self._running[key] = self._num_begun

    def end(self, key: Key, outcome: str, message: str) -> str | None:
        """Count an end; return why the run should stop, or None."""
        began = self._running.pop(key, self._num_begun)
        cause = _VARYING.sub("#", message)
        if outcome != "crashed" or cause != self._cause:
            self._crashed.clear()
        if outcome != "crashed":
            return None
        self._cause = cause
        self._crashed.append(key)
        configurations = {config_id for config_id, _ in self._crashed}
        if len(self._crashed) < MOST_EQUAL_CRASHES or len(configurations) < self._fewest_configurations:
            return None
        if any(other < began for other in self._running.values()):
            return None
        return f"{len(self._crashed)} replicates in a row crashed in the same way, the last one by: {message}"
