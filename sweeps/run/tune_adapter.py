"""The searcher of Ray Tune: it hands Tune one replicate at a time, leased at that moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from cluster.placement.slots import Slots
from sweeps.run.limits import RunLimits
from sweeps.run.work import Leased, WorkSource
from trainables.worker.assignment import ACTOR_KEY, CONFIG_KEY, WORKER_KEY, Assignment

TRIALS_PER_TUNE_RUN = 1000
"""Tune keeps some 30 KiB of every trial until its run ends, so long sweeps are several runs of Tune."""


class DriverOnly:
    """Something that lives in the driver alone.

    Tune pickles what it is given, for a restore of its own that is never used here: nothing goes in.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ReplicateSearcher(DriverOnly, Searcher):
    """Suggests what its source hands out, as long as the run's limits allow it.

    Lazily, so that what is suggested can depend on what has ended: nothing is decided before a slot is free.
    It learns nothing from results and keeps no state of its own: the journal is the state.

    Args:
        source: Where the work comes from.
        slots: Whether there is room for it.
        limits: Whether more may start.
        begin: Called for each leased replicate; returns what the worker is told.
    """

    def __init__(
        self, source: WorkSource, slots: Slots, limits: RunLimits, begin: Callable[[Leased], Assignment]
    ) -> None:
        super().__init__()
        self._source, self._slots, self._limits, self._begin = source, slots, limits, begin
        self._unfinished: set[str] = set()
        self.suggested: dict[str, Assignment] = {}
        """Tune's trial id → what it runs."""

    def suggest(self, trial_id: str) -> Any:
        """Return the next assignment as a Tune configuration, None for "ask again", or FINISHED."""
        if self._limits.stop_requested or len(self.suggested) >= TRIALS_PER_TUNE_RUN:
            return Searcher.FINISHED
        if self._slots.is_full:
            return None
        # Once no more may start, what this driver has started may still need a second start: it counts once.
        is_full = self._limits.start_limit_reached
        leased = self._source.lease_next(self._slots.has_room, retries_only=is_full)
        if leased is not None:
            return self._start(trial_id, leased)
        # Another driver may die and leave work for our free slots. With no trial of ours at work, None would
        # keep Tune's idle actors, and so the resources that the other driver may need: the engine waits then.
        return None if self._unfinished and (is_full or self._source.has_more) else Searcher.FINISHED

    def _start(self, trial_id: str, leased: Leased) -> dict[str, Any]:
        request = self._slots.acquire(trial_id, leased.size_class)
        assignment = self._begin(leased)
        if not leased.is_retry:
            self._limits.count_start()
        self._unfinished.add(trial_id)
        self.suggested[trial_id] = assignment
        return {
            CONFIG_KEY: assignment.to_json(),
            ACTOR_KEY: request.actor_resources,
            WORKER_KEY: request.worker_resources,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Note that a trial has ended; what it said the engine has read as it came."""
        self._unfinished.discard(trial_id)
        self._slots.release(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal is the state, Tune's is disposable."""
