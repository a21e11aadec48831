"""What decides which replicate runs next: all that the queue and the engine know of a search.

A proposer is asked when there is room and told what has ended. It sees neither Ray nor files. The contract that
every one keeps is in `proposer_contract.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from analysis.records.replicates import Key, Replicate
from sweeps.plan.plan import PlannedReplicate


class UnknownReplicateError(LookupError):
    """A proposer was told the end of a replicate that it has never proposed."""


@dataclass(frozen=True)
class Report:
    """What a running replicate has reported."""

    key: Key
    step: int
    """Optimiser steps done."""
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Withheld:
    """What a proposer does not propose now."""

    num_waiting: int = 0
    """Replicates that it may propose once it has been told of others that it has proposed."""
    blocked: tuple[str, ...] = ()
    """Why others can never be proposed, as things are: each reason once."""


class Proposer(Protocol):
    """Proposes each replicate once, and those that others depend on first."""

    def ask(self) -> PlannedReplicate | None:
        """Return the next replicate to run; None if there is none now.

        None while proposed ones have not ended may be followed by another after a `tell`; None with nothing out
        and nothing waiting means that all is proposed. A proposer that could go on for ever returns None while as
        many are out as it wants to learn from first: the queue asks until something fits.
        """

    def tell(self, result: Replicate) -> None:
        """Learn how a proposed replicate has ended. A later end of the same one, by another driver, replaces it.

        Raises:
            UnknownReplicateError: If it was never proposed.
        """

    def should_stop(self, report: Report) -> bool:
        """Return whether a running replicate has shown enough and should end as `pruned`."""

    @property
    def withheld(self) -> Withheld:
        """What is not proposed now though it is not done; asked often, so it has to be cheap."""
