"""The proposer of grids and ablations: a list that is known from the start, in the plan's order."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable

from analysis.records.journal import JournalState
from analysis.records.replicates import Key, Replicate
from sweeps.plan.plan import Plan
from sweeps.plan.units import PlannedReplicate
from sweeps.search.proposer import Report, UnknownReplicateError, Withheld


class FixedProposer:
    """Proposes a list in its order; a replicate with a dependency as soon as that has finished.

    Args:
        replicates: The list, each replicate once.
        available: Finished replicates outside the list, with whose weights others may start.
    """

    def __init__(self, replicates: Iterable[PlannedReplicate], available: Collection[Key] = ()) -> None:
        self._replicates = list(replicates)
        self._positions = {replicate.key: position for position, replicate in enumerate(self._replicates)}
        self._ready: list[int] = []
        """Heap of positions: a replicate that becomes ready keeps its place in the list."""
        self._proposed: set[Key] = set()
        self._unmet: dict[Key, set[Key]] = {}
        """The unfinished dependencies of each replicate that cannot start yet."""
        self._dependents: defaultdict[Key, list[Key]] = defaultdict(list)
        self._lost: dict[Key, str] = {}
        """Dependencies that ended without a result, with the reason."""
        self._withheld: Withheld | None = None
        for position, replicate in enumerate(self._replicates):
            self._add(position, replicate, available)

    @classmethod
    def of(cls, plan: Plan, state: JournalState) -> FixedProposer:
        """Return the proposer of a plan, whose arms may also start with replicates finished in `state`."""
        return cls(plan.replicates, {key for key, one in state.replicates.items() if one.status == "finished"})

    def _add(self, position: int, replicate: PlannedReplicate, available: Collection[Key]) -> None:
        unmet = {key for key in replicate.depends_on if key in self._positions or key not in available}
        if not unmet:
            heapq.heappush(self._ready, position)
            return
        self._unmet[replicate.key] = unmet
        for key in unmet:
            self._dependents[key].append(replicate.key)
            if key not in self._positions:
                self._lost[key] = _why_lost(key, None)

    def ask(self) -> PlannedReplicate | None:
        """Return the first replicate of the list that is not proposed yet and waits for nothing."""
        if not self._ready:
            return None
        replicate = self._replicates[heapq.heappop(self._ready)]
        self._proposed.add(replicate.key)
        return replicate

    def tell(self, result: Replicate) -> None:
        """Release the replicates that waited for `result`, or note that they can never start.

        Raises:
            UnknownReplicateError: If it was never proposed.
        """
        key = result.key
        if key not in self._proposed:
            raise UnknownReplicateError(f"{key[0]} seed {key[1]} was never proposed")
        if key not in self._dependents:
            return
        self._withheld = None
        if result.status != "finished":
            self._lost[key] = _why_lost(key, result)
            return
        self._lost.pop(key, None)
        for dependent in self._dependents.pop(key):
            self._unmet[dependent].discard(key)
            if not self._unmet[dependent]:
                del self._unmet[dependent]
                heapq.heappush(self._ready, self._positions[dependent])

    def should_stop(self, report: Report) -> bool:
        """Return False: in a fixed list every replicate runs to its end."""
        return False

    @property
    def withheld(self) -> Withheld:
        """How many replicates wait, and why some can never start; computed again only after a `tell`."""
        if self._withheld is None:
            num_waiting = len(self._unmet) - len(self._never_ready())
            self._withheld = Withheld(num_waiting, tuple(dict.fromkeys(self._lost.values())))
        return self._withheld

    def _never_ready(self) -> set[Key]:
        """Return the replicates that depend, directly or not, on one that ended without a result."""
        found: set[Key] = set()
        todo = list(self._lost)
        while todo:
            for dependent in self._dependents.get(todo.pop(), ()):
                if dependent not in found:
                    found.add(dependent)
                    todo.append(dependent)
        return found


def _why_lost(key: Key, replicate: Replicate | None) -> str:
    """Return why nothing can start with the weights of a replicate, which is None if not in the list."""
    config_id, seed = key
    if replicate is None:
        return f"{config_id} seed {seed}, which others start with, is not among what runs here"
    why = f": {replicate.message}" if replicate.message else ""
    return f"{config_id} seed {seed}, which others start with, ended as {replicate.status}{why}"
