"""The protocol `Proposer`, which decides which replicate runs next.

The work queue asks it when there is room and tells it what has ended. It sees neither Ray nor files.
`sweeps.search.contract` checks implementations.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from analysis.records.replicates import Key, Replicate
from sweeps.plan.units import PlannedReplicate


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
    can_decide: bool = False
    """Whether a search could decide something now, and another driver is just deciding."""


class Proposer(Protocol):
    """Proposes each replicate once, and those that others depend on first.

    A replicate that was pruned may be proposed again, to train on.
    """

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


class DecisionLog(Protocol):
    """Where the decisions of a search are written down."""

    def deciding(self) -> AbstractContextManager[bool]:
        """Let nobody else decide while the block runs; yields False if somebody else is deciding.

        Everything that others have decided before has been read when the block begins.
        """

    def write(self, event: str, **fields: Any) -> None:
        """Write a decision, and read it back."""


@runtime_checkable
class Decider(Protocol):
    """A proposer whose decisions are written down before they are carried out."""

    def write_to(self, log: DecisionLog) -> None:
        """Use a log for all decisions; without one, none is taken."""
