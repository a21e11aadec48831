"""The lazy searcher: it hands Ray Tune one missing replicate at a time, claimed at that moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from analysis.replicates import Key
from cluster.slots import Slots
from sweeps.agenda import Agenda, Claimed
from sweeps.sitting import Sitting
from trainables.assignment import Assignment
from trainables.tune_trainable import ACTOR_KEY, CONFIG_KEY, WORKER_KEY

TRIALS_PER_TUNE_RUN = 1000
"""Tune keeps some 30 KiB of every trial until its run ends, so long sweeps are several runs of Tune."""


class DriverOnly:
    """Something that lives in the driver alone.

    Tune pickles what it is given, for a restore of its own that is never used here: nothing goes in.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ReplicateSearcher(DriverOnly, Searcher):
    """Suggests what the agenda claims, as long as the sitting allows it.

    Lazily, so that what is suggested can depend on what has ended: nothing is decided before a slot is free.
    It learns nothing from results and keeps no state of its own: the journal is the state.

    Args:
        agenda: What is left to do.
        slots: Whether there is room for it.
        size_of: Returns the size class of a replicate.
        sitting: Whether more may start.
        begin: Called for each claimed replicate; returns what the worker is told.
    """

    def __init__(
        self,
        agenda: Agenda,
        slots: Slots,
        size_of: Callable[[Key], int],
        sitting: Sitting,
        begin: Callable[[Claimed], Assignment],
    ) -> None:
        super().__init__()
        self._agenda, self._slots, self._size_of = agenda, slots, size_of
        self._sitting, self._begin = sitting, begin
        self._unfinished: set[str] = set()
        self.suggested: dict[str, Assignment] = {}
        """Tune's trial id → what it runs."""

    def suggest(self, trial_id: str) -> Any:
        """Return the next assignment as a Tune configuration, None for "ask again", or FINISHED."""
        has_enough = len(self.suggested) >= TRIALS_PER_TUNE_RUN
        if self._sitting.is_over or self._sitting.is_full or has_enough:
            return Searcher.FINISHED
        if self._slots.is_full:
            return None
        claimed = self._agenda.claim_next(lambda key: self._slots.has_room(self._size_of(key)))
        if claimed is not None:
            return self._start(trial_id, claimed)
        # Another driver may die and leave work for our free slots. With no trial of ours at work, None would
        # keep Tune's idle actors, and so the resources that the other driver may need: the engine waits then.
        may_come = self._agenda.has_more or self._agenda.outlook.held
        return None if self._unfinished and may_come else Searcher.FINISHED

    def _start(self, trial_id: str, claimed: Claimed) -> dict[str, Any]:
        request = self._slots.take(trial_id, self._size_of((claimed.planned.config_id, claimed.seed)))
        assignment = self._begin(claimed)
        self._sitting.count_start()
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
        self._slots.give_back(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal is the state, Tune's is disposable."""
