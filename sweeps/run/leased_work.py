"""What passes from the work queue to Ray Tune: a leased replicate, and the side of the queue that Tune asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sweeps.plan.selection import Rerun
from sweeps.plan.units import PlannedReplicate


@dataclass(frozen=True)
class Leased:
    """A replicate that this driver has leased."""

    planned: PlannedReplicate
    size_class: int
    """Its size class in the plan's `Packing`, which decides its memory."""
    is_retry: bool
    """Whether this driver has started it before."""
    rerun: Rerun | None
    """Set if its previous end has to be invalidated first."""
    last_event_at: float
    """Unix time of the newest event about it, by the clock of whoever wrote that; 0 before the first."""


class WorkSource(Protocol):
    """Where the searcher gets its work from."""

    @property
    def has_more(self) -> bool:
        """Whether a replicate may still become startable after `lease_next` has returned None."""

    def lease_next(self, has_room: Callable[[int], bool], *, retries_only: bool = False) -> Leased | None:
        """Lease the next replicate and return it; None if there is none to start now.

        Args:
            has_room: Whether one more of a size class may start.
            retries_only: Take only replicates that this driver has started before.
        """
