"""The protocol `Proposer`, which decides which replicate runs next.

The work queue asks it when there is room and tells it what has ended. It sees neither Ray nor files.
`sweeps.search.contract` checks implementations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from analysis.records.replicates import Key, Replicate
from sweeps.plan.plan import PlannedReplicate


class UnknownReplicateError(LookupError):
    """`tell` was called with a replicate that the proposer has never proposed."""


@dataclass(frozen=True)
class Report:
    """A report of a running replicate."""

    key: Key
    step: int
    """Optimiser steps done."""
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Withheld:
    """The replicates that a proposer does not propose now."""

    num_waiting: int = 0
    """Number of replicates that it may propose once others have ended."""
    blocked: tuple[str, ...] = ()
    """Why others can never be proposed, each reason once."""


class Proposer(Protocol):
    """Proposes each replicate once, and those that others depend on first."""

    def ask(self) -> PlannedReplicate | None:
        """Return the next replicate to run; None if there is none now.

        While proposed replicates have not ended, None may be followed by another proposal after a `tell`. With none
        running and none waiting, None means that all is proposed. A proposer without a natural end returns None
        while enough replicates run for it to learn from first, since the queue asks until something fits.
        """

    def tell(self, result: Replicate) -> None:
        """Learn how a proposed replicate has ended. A later end of the same one, by another driver, replaces it.

        Raises:
            UnknownReplicateError: If it was never proposed.
        """

    def should_stop(self, report: Report) -> bool:
        """Return whether a running replicate should stop early and end as `pruned`."""

    @property
    def withheld(self) -> Withheld:
        """What is neither proposed nor done; called often, so it has to be cheap."""
