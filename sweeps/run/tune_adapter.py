"""The searcher of Ray Tune: it gives Tune one replicate at a time, leased at that moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from cluster.placement.slots import Slots
from sweeps.run.leased_work import Leased, WorkSource
from sweeps.run.limits import RunLimits
from trainables.worker.assignment import ACTOR_KEY, CONFIG_KEY, WORKER_KEY, Assignment

TRIALS_PER_TUNE_RUN = 1000
"""Tune keeps some 30 KiB of every trial until its run ends, so long sweeps are several runs of Tune."""


class DriverOnly:
    """An object that stays in the driver.

    Tune pickles its searcher and callbacks for a restore that is never used here; the pickle is empty.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ReplicateSearcher(DriverOnly, Searcher):
    """Suggests the replicates that its source leases, as long as the run's limits allow it.

    A replicate is chosen only when a slot is free, so that the choice can depend on everything that has ended.
    The searcher learns nothing from results and keeps no state: the journal is the state.

    Args:
        source: Where the work comes from.
        slots: Whether there is room for it.
        limits: Whether more may start.
        begin: Called for each leased replicate; returns the worker's assignment.
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
        # Past the start limit, retries of replicates that this driver has started still run: they count once.
        is_full = self._limits.start_limit_reached
        leased = self._source.lease_next(self._slots.has_room, retries_only=is_full)
        if leased is not None:
            return self._start(trial_id, leased)
        # Another driver may die and leave work for our free slots. With no running trial, None would keep Tune's
        # idle actors, and so resources that the other driver may need: then Tune ends and the engine waits.
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
        """Note that a trial has ended; the engine has handled its reports as they came."""
        self._unfinished.discard(trial_id)
        self._slots.release(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing: the journal is the state, Tune's is disposable."""
