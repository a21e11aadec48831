"""The work queue: which replicate is next, leased at that moment, and how many other drivers hold.."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.records.replicates import Key
from analysis.records.statuses import RESULTS
from sweeps.plan.plan import Plan
from sweeps.plan.selection import Rerun
from sweeps.plan.units import PlannedReplicate
from sweeps.run.leased_work import Leased
from sweeps.search.proposer import Proposer
from sweeps.store.leases import ReplicateLeases
from sweeps.store.reader import JournalReader

REFRESH_EVERY_SECONDS = 2.0
"""How often a driver looks for ends and leases of other drivers."""

MAX_STARTS = 3
"""How often one driver starts a replicate whose node is lost each time: the replicate may be the cause."""


@dataclass(frozen=True)
class QueueStatus:
    """The replicates that are left, as one driver sees them."""

    has_free: bool
    """Whether the driver can lease one."""
    held: int
    """Replicates that other living drivers have leased; exact only if none is free."""
    waiting: int = 0
    """Replicates that wait for the weights of others."""
    blocked: tuple[str, ...] = ()
    """Why others can never start: a dependency has ended without a result."""
    can_decide: bool = False
    """Whether a search could decide something now, and another driver is just deciding."""


class _Queue:
    """Replicates that may start, in heaps by size class, so that finding one that fits scans few of them."""

    def __init__(self) -> None:
        self._heaps: dict[tuple[bool, int], list[tuple[int, Key]]] = {}
        """(starts for the first time, size class) → heap of (position, key)."""
        self.keys: set[Key] = set()

    def push(self, key: Key, position: int, size_class: int, *, is_retry: bool) -> None:
        """Add a replicate unless it is in the queue."""
        if key not in self.keys:
            self.keys.add(key)
            heapq.heappush(self._heaps.setdefault((not is_retry, size_class), []), (position, key))

    def discard(self, key: Key) -> None:
        """Remove a replicate, if it is in the queue; its entry stays in the heap until it is at the top."""
        self.keys.discard(key)

    def pop(self, has_room: Callable[[int], bool], *, retries_only: bool) -> Key | None:
        """Remove and return the first replicate of a size class for which there is room; retries come first."""
        heads = []
        for (is_first, size_class), heap in self._heaps.items():
            while heap and heap[0][1] not in self.keys:
                heapq.heappop(heap)
            if heap and not (is_first and retries_only) and has_room(size_class):
                heads.append((is_first, heap[0], size_class))
        if not heads:
            return None
        is_first, (_, key), size_class = min(heads)
        heapq.heappop(self._heaps[is_first, size_class])
        self.keys.discard(key)
        return key

    @property
    def has_retries(self) -> bool:
        """Whether it holds a replicate that has been started before."""
        heaps = (heap for (is_first, _), heap in self._heaps.items() if not is_first)
        return any(key in self.keys for heap in heaps for _, key in heap)


class WorkQueue:
    """Leases each proposed replicate that is not done once in a run, and again if it was preempted.

    Replicates come in the plan's order as far as there is room: one that waited for a dependency takes its place as
    soon as the dependency has ended. The journal is read as it grows, and a replicate is examined only when it is
    proposed, when the journal has news of it, or when another driver no longer holds it, so that the cost of a long
    sweep is proportional to its length.

    Args:
        plan: The replicates and their order.
        proposer: Proposes replicates.
        reader: The journal.
        leases: This driver's leases.
        reruns: Ended replicates that are to run again.
        size_of: Returns the size class of a replicate.
    """

    def __init__(
        self,
        plan: Plan,
        proposer: Proposer,
        reader: JournalReader,
        leases: ReplicateLeases,
        reruns: Mapping[Key, Rerun],
        size_of: Callable[[Key], int],
    ) -> None:
        self._proposer, self._reader, self._leases = proposer, reader, leases
        self._reruns, self._size_of = dict(reruns), size_of
        self._positions = {key: position for position, key in enumerate(plan.keys)}
        self._proposed: dict[Key, PlannedReplicate] = {}
        self._reported_ends: dict[Key, float | None] = {}
        """The end time of each replicate that the proposer was told about."""
        self._queue = _Queue()
        self._blocked_by_lease: set[Key] = set()
        """Replicates that could start if no other living driver had leased them."""
        self._held_by_others: frozenset[Key] = frozenset()
        """Every lease of another living driver at the last refresh."""
        self._num_starts: Counter[Key] = Counter()
        self._to_restart: set[Key] = set()
        self._has_news = True
        self._refreshed_at = -REFRESH_EVERY_SECONDS
        self.status = QueueStatus(has_free=False, held=0)
        """The status at the last refresh."""

    def refresh(self) -> QueueStatus:
        """Read what is new in the journal, list the leases, and return what is left."""
        self.read_journal()
        self._held_by_others = frozenset(self._leases.held_by_others())
        for key in self._blocked_by_lease - self._held_by_others:
            self._blocked_by_lease.discard(key)
            self._reclassify(key)
        for key in self._queue.keys & self._held_by_others:
            self._queue.discard(key)
            self._blocked_by_lease.add(key)
        while not self._queue.keys and self._take_proposal():
            pass
        self._refreshed_at = time.monotonic()
        withheld = self._proposer.withheld
        self.status = QueueStatus(
            has_free=bool(self._queue.keys),
            held=len(self._blocked_by_lease),
            waiting=withheld.num_waiting,
            blocked=withheld.blocked,
            can_decide=withheld.can_decide,
        )
        return self.status

    @property
    def has_more(self) -> bool:
        """Whether a replicate may still become startable: it lacks room, waits for others, or others hold it."""
        return bool(self._queue.keys or self._blocked_by_lease or self._proposer.withheld.num_waiting)

    @property
    def has_retries(self) -> bool:
        """Whether a replicate is to start that this driver has started before."""
        return self._queue.has_retries

    def lease_next(self, has_room: Callable[[int], bool], *, retries_only: bool = False) -> Leased | None:
        """Lease the next replicate and return it; None if there is none to start now.

        Args:
            has_room: Whether one more of a size class may start.
            retries_only: Take only replicates that this driver has started before.
        """
        if time.monotonic() - self._refreshed_at >= REFRESH_EVERY_SECONDS:
            self.refresh()
        elif self._has_news:
            self.read_journal()
        can_propose = not retries_only
        while True:
            # Asked before each start: a replicate that is newly ready may precede one that lacked room until now.
            can_propose = can_propose and self._take_proposal()
            key = self._queue.pop(has_room, retries_only=retries_only)
            if key is not None and (leased := self._lease(key)) is not None:
                return leased
            if key is None and not can_propose:
                return None

    def note_end(self) -> None:
        """Note that a replicate of this driver has ended: others may have waited for it."""
        self._has_news = True

    def try_again(self, key: Key) -> None:
        """Queue a replicate again that has just ended, whatever its outcome."""
        self._to_restart.add(key)
        self._reclassify(key)

    def left(self) -> set[Key]:
        """Return the replicates that were to run and have not ended."""
        self.read_journal()
        state = self._reader.view.state
        return {key for key in self._positions if self._is_wanted(key) or not state.has_ended(key)}

    def _take_proposal(self) -> bool:
        """Ask for one more replicate; return whether there was one."""
        planned = self._proposer.ask()
        if planned is None:
            return False
        if planned.key in self._proposed:  # it was pruned, and is to go on
            self._num_starts.pop(planned.key, None)
        if planned.continues:
            self._let_continue(planned)
        self._proposed[planned.key] = planned
        self._positions.setdefault(planned.key, len(self._positions))
        self._reclassify(planned.key)
        return True

    def _let_continue(self, planned: PlannedReplicate) -> None:
        """Expect another end of a pruned replicate, unless another driver has already reopened it."""
        replicate = self._reader.view.state.replicates.get(planned.key)
        if replicate is not None and replicate.status == "pruned" and replicate.ended_at is not None:
            self._reruns[planned.key] = Rerun("promoted", planned.continues, replicate.ended_at)

    def read_journal(self) -> None:
        """Read what is new in the journal, and place again the replicates that it concerns."""
        self._has_news = False
        for key in sorted(self._reader.poll() & self._proposed.keys()):
            self._reclassify(key)

    def _reclassify(self, key: Key) -> None:
        """Sort a proposed replicate: to start, held by another driver, or ended."""
        if not self._is_wanted(key):
            self._queue.discard(key)
            self._blocked_by_lease.discard(key)
            self._report_end(key)
        elif key in self._held_by_others:
            self._queue.discard(key)
            self._blocked_by_lease.add(key)
        elif key not in self._blocked_by_lease:
            is_retry = self._num_starts[key] > 0
            self._queue.push(key, self._positions[key], self._size_of(key), is_retry=is_retry)

    def _report_end(self, key: Key) -> None:
        """Tell the proposer how a replicate has ended, if it has and the proposer does not know."""
        replicate = self._reader.view.state.replicates.get(key)
        if replicate is None or not replicate.has_ended:
            return
        if key not in self._reported_ends or self._reported_ends[key] != replicate.ended_at:
            self._reported_ends[key] = replicate.ended_at
            self._proposer.tell(replicate)

    def _lease(self, key: Key) -> Leased | None:
        """Lease a replicate; None if another driver has it, or has just ended it."""
        if not self._leases.acquire(*key):
            self._blocked_by_lease.add(key)
            return None
        self.read_journal()  # read under the lease: nobody else can end it now
        if not self._is_wanted(key):
            self._leases.release(*key)
            self._reclassify(key)
            return None
        self._queue.discard(key)
        is_retry = self._num_starts[key] > 0
        self._num_starts[key] += 1
        self._to_restart.discard(key)
        last_event_at, _ = self._reader.view.last_event.get(key, (0.0, ""))
        return Leased(self._proposed[key], self._size_of(key), is_retry, self._rerun(key), last_event_at)

    def _is_wanted(self, key: Key) -> bool:
        """Return whether this driver should start a replicate that nobody holds."""
        state = self._reader.view.state
        replicate = state.replicates.get(key)
        if key in self._to_restart:
            return replicate is None or replicate.status not in RESULTS
        if num_starts := self._num_starts[key]:
            was_preempted = (
                replicate is not None and replicate.status == "preempted" and not replicate.has_open_attempt
            )
            return was_preempted and num_starts < MAX_STARTS
        return state.is_pending(key) or self._rerun(key) is not None

    def _rerun(self, key: Key) -> Rerun | None:
        rerun = self._reruns.get(key)
        replicate = self._reader.view.state.replicates.get(key)
        return rerun if rerun is not None and rerun.applies_to(replicate) else None
