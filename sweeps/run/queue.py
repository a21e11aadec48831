"""What is left for one driver to do: the next missing replicate, leased, and how many others hold."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.records.replicates import Key, Replicate
from analysis.records.statuses import RESULTS
from sweeps.plan.plan import Plan, PlannedArm
from sweeps.plan.selection import Rerun, has_no_end, is_missing
from sweeps.store.leases import ReplicateLeases
from sweeps.store.reader import JournalReader

REFRESH_EVERY_SECONDS = 2.0
"""How often a driver that has nothing of its own left looks whether another one has died."""

MAX_TRIES = 3
"""How often one driver starts a replicate whose machine is lost each time: it may be the reason."""


def why_blocked(key: Key, replicate: Replicate | None) -> str:
    """Return why nothing can start with the weights of a replicate."""
    config_id, seed = key
    if replicate is None or replicate.status is None:
        return f"{config_id} seed {seed}, which others start with, is not among what runs here"
    why = f": {replicate.message}" if replicate.message else ""
    return f"{config_id} seed {seed}, which others start with, ended as {replicate.status}{why}"


@dataclass(frozen=True)
class Leased:
    """A replicate that nobody else will run now."""

    planned: PlannedArm
    seed: int
    rerun: Rerun | None
    """Set if its end has to be taken back first."""
    last_event_at: float
    """Unix time of the newest event about it, by the clock of whoever wrote that; 0 before the first."""


@dataclass(frozen=True)
class QueueStatus:
    """What is left of a plan, for one driver."""

    free: int
    """Replicates that it can claim."""
    held: int
    """Replicates that other living drivers have leased."""
    waiting: int = 0
    """Replicates that start with the weights of others, which are yet to finish."""
    blocked: tuple[str, ...] = ()
    """Why others can never start: what they were to start with has ended without a result."""


class WorkQueue:
    """Hands out the missing replicates of a plan in order, each one once in a run; a preempted one again.

    The journal is read as it grows, never again from its start, so that a driver among others stays cheap.
    """

    def __init__(
        self, plan: Plan, reader: JournalReader, leases: ReplicateLeases, reruns: Mapping[Key, Rerun]
    ) -> None:
        self._replicates = plan.replicates
        self._reader, self._leases, self._reruns = reader, leases, reruns
        self._queue: deque[tuple[PlannedArm, int]] = deque()
        self._tries: Counter[Key] = Counter()
        self._again: set[Key] = set()
        self._refreshed_at = -REFRESH_EVERY_SECONDS
        self.status = QueueStatus(free=0, held=0)
        """What was left when this driver looked last."""

    def refresh(self) -> QueueStatus:
        """Look at the journal and the claims anew."""
        self._reader.poll()
        wanted = [(p, seed) for p, seed in self._replicates if self._is_wanted((p.config_id, seed))]
        ready, waiting, blocked = self._sorted_by_need(wanted)
        free = [(p, seed) for p, seed in ready if not self._leases.is_leased_by_another(p.config_id, seed)]
        self._queue = deque(free)
        self._refreshed_at = time.monotonic()
        self.status = QueueStatus(
            free=len(free), held=len(ready) - len(free), waiting=waiting, blocked=tuple(dict.fromkeys(blocked))
        )
        return self.status

    def _sorted_by_need(
        self, wanted: list[tuple[PlannedArm, int]]
    ) -> tuple[list[tuple[PlannedArm, int]], int, list[str]]:
        """Return which replicates can start, how many may come to, and why others never will.

        What waits for something that waits itself is blocked with it.
        """
        ready: list[tuple[PlannedArm, int]] = []
        planned_keys = {(p.config_id, seed) for p, seed in self._replicates}
        hopeless: set[Key] = set()
        blocked: list[str] = []
        num_waiting = 0
        replicates = self._reader.view.state.replicates
        for planned, seed in self._topological_order(wanted):
            before = [key for key in planned.depends_on(seed) if not self._is_done(key)]
            lost = [key for key in before if not (key in planned_keys and self._may_finish(key))]
            if lost or hopeless.intersection(before):
                hopeless.add((planned.config_id, seed))
                blocked += [why_blocked(key, replicates.get(key)) for key in lost]
            elif before:
                num_waiting += 1
            else:
                ready.append((planned, seed))
        return ready, num_waiting, blocked

    @staticmethod
    def _topological_order(wanted: list[tuple[PlannedArm, int]]) -> list[tuple[PlannedArm, int]]:
        """Return those last that start with the weights of one that does so itself; otherwise keep the order."""
        by_key = {(planned.config_id, seed): (planned, seed) for planned, seed in wanted}

        def depth(key: Key) -> int:
            planned, seed = by_key[key]
            return 1 + max((depth(before) for before in planned.depends_on(seed) if before in by_key), default=0)

        depths = {key: depth(key) for key in by_key}
        return sorted(wanted, key=lambda one: depths[one[0].config_id, one[1]])

    def _may_finish(self, key: Key) -> bool:
        return self._is_wanted(key) or has_no_end(self._reader.view.state.replicates.get(key))

    def _is_done(self, key: Key) -> bool:
        replicate = self._reader.view.state.replicates.get(key)
        return replicate is not None and replicate.status == "finished" and self._rerun(key) is None

    @property
    def has_more(self) -> bool:
        """Whether something is left that nobody held when this driver looked last, or that waits for others."""
        return bool(self._queue) or self.status.waiting > 0

    def lease_next(self, has_room: Callable[[Key], bool]) -> Leased | None:
        """Claim the next replicate for which there is room and return it; None if there is none to have now."""
        if not self._queue and time.monotonic() - self._refreshed_at >= REFRESH_EVERY_SECONDS:
            self.refresh()
        for planned, seed in tuple(self._queue):
            key = (planned.config_id, seed)
            if not has_room(key):
                continue
            self._queue.remove((planned, seed))
            if not self._leases.acquire(*key):
                continue
            self._reader.poll()  # only now can nobody else end it: what ended before our claim is in the journal
            if self._is_wanted(key):
                self._tries[key] += 1
                self._again.discard(key)
                last_event_at, _ = self._reader.view.last_event.get(key, (0.0, ""))
                return Leased(planned, seed, self._rerun(key), last_event_at)
            self._leases.release(*key)
        return None

    def try_again(self, key: Key) -> None:
        """Hand a replicate out once more that has just ended, whatever its end was."""
        self._again.add(key)
        self._queue.extend(one for one in self._replicates if (one[0].config_id, one[1]) == key)

    def left(self) -> set[Key]:
        """Return what was to run and has not begun, or has begun and not ended."""
        self._reader.poll()
        replicates = self._reader.view.state.replicates
        keys = [(planned.config_id, seed) for planned, seed in self._replicates]
        return {key for key in keys if self._is_wanted(key) or has_no_end(replicates.get(key))}

    def _is_wanted(self, key: Key) -> bool:
        replicate = self._reader.view.state.replicates.get(key)
        if key in self._again:
            return replicate is None or replicate.status not in RESULTS
        if tries := self._tries[key]:
            return tries < MAX_TRIES and replicate is not None and replicate.status == "preempted"
        return is_missing(replicate) or self._rerun(key) is not None

    def _rerun(self, key: Key) -> Rerun | None:
        rerun = self._reruns.get(key)
        replicate = self._reader.view.state.replicates.get(key)
        return rerun if rerun is not None and rerun.applies_to(replicate) else None
