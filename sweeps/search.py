"""The lazy searcher: it hands Ray Tune one missing replicate at a time, claimed at that moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from sweeps.agenda import Agenda, Claimed
from sweeps.sitting import Sitting
from trainables.assignment import Assignment
from trainables.tune_trainable import CONFIG_KEY


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
        sitting: Whether more may start.
        begin: Called for each claimed replicate; returns what the worker is told.
    """

    def __init__(self, agenda: Agenda, sitting: Sitting, begin: Callable[[Claimed], Assignment]) -> None:
        super().__init__()
        self._agenda, self._sitting, self._begin = agenda, sitting, begin
        self._unfinished: set[str] = set()
        self.suggested: dict[str, Assignment] = {}
        """Tune's trial id → what it runs."""

    def suggest(self, trial_id: str) -> Any:
        """Return the next assignment as a Tune configuration, None for "ask again", or FINISHED."""
        if self._sitting.is_over or self._sitting.is_full:
            return Searcher.FINISHED
        claimed = self._agenda.claim_next()
        if claimed is not None:
            assignment = self._begin(claimed)
            self._sitting.count_start()
            self._unfinished.add(trial_id)
            self.suggested[trial_id] = assignment
            return {CONFIG_KEY: assignment.to_json()}
        # Another driver may die and leave work for our free slots. With no trial of ours at work, None would
        # keep Tune's idle actors, and so the resources that the other driver may need: the engine waits then.
        return None if self._unfinished and self._agenda.outlook.held else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Note that a trial has ended; what it said the engine has read as it came."""
        self._unfinished.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal is the state, Tune's is disposable."""
