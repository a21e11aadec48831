"""The lazy searcher: it hands Ray Tune one missing replicate at a time, claimed at that moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ray.tune.search import Searcher

from sweeps.journal import ClaimBook
from trainables.assignment import Assignment
from trainables.tune_trainable import CONFIG_KEY


class DriverOnly:
    """Something that lives in the driver alone.

    Tune pickles what it is given, for a restore of its own that is never used here: nothing goes in.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ReplicateSearcher(DriverOnly, Searcher):
    """Suggests the assignments of a plan, in order, skipping what another driver has claimed or has ended.

    Lazily, so that what is suggested can depend on what has ended: nothing is decided before a slot is free.
    It learns nothing from results and keeps no state of its own: the journal is the state.
    """

    def __init__(
        self,
        assignments: Iterator[Assignment],
        claims: ClaimBook,
        still_missing: Callable[[Assignment], bool],
    ) -> None:
        super().__init__()
        self._assignments = assignments
        self._claims = claims
        self._still_missing = still_missing
        self.suggested: dict[str, Assignment] = {}
        """Tune's trial id → what it runs."""
        self.stopped = False
        """Set to suggest nothing more: an interrupt."""

    def suggest(self, trial_id: str) -> Any:
        """Return the next assignment as a Tune configuration, or FINISHED."""
        if self.stopped:
            return Searcher.FINISHED
        for assignment in self._assignments:
            if not self._claims.claim(assignment.config_id, assignment.seed):
                continue
            # Only now can nobody else end it: what ended before our claim is in the journal.
            if self._still_missing(assignment):
                self.suggested[trial_id] = assignment
                return {CONFIG_KEY: assignment.to_json()}
            self._claims.release(assignment.config_id, assignment.seed)
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the engine reads results as they come."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see the class."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal is the state, Tune's is disposable."""
