"""The contract suite of proposers: `check_proposer` checks a new one.

The suite simulates the work queue: it asks until there is nothing more, ends what was proposed, oldest or newest
first, and tells the proposer. It uses nothing of a proposer but the protocol `Proposer`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from analysis.records.replicates import Key, Replicate
from analysis.records.statuses import STATUSES
from sweeps.plan.units import PlannedReplicate
from sweeps.search.proposer import Proposer, Report, UnknownReplicateError

MAX_ASKS = 100_000
"""A proposer that makes more proposals in a row than this is taken not to wait for ends at all."""


class ProposerContractError(AssertionError):
    """A proposer breaks its contract; the message says where."""


@dataclass(frozen=True)
class ProposerCase:
    """A proposer to check."""

    make: Callable[[], Proposer]
    """Returns a new proposer, each time in the same state."""
    expected: Collection[Key] | None = None
    """What it must propose if everything finishes; None: not checked."""
    never_stops: bool = False
    """Whether it lets every replicate run to its end."""


def check_proposer(case: ProposerCase) -> None:
    """Raise if a proposer breaks the contract.

    Raises:
        ProposerContractError: With the first rule that is broken.
    """
    for check in (
        _proposes_each_once,
        _proposes_what_others_need_first,
        _refuses_an_end_of_what_it_never_proposed,
        _takes_a_later_end,
        _is_a_function_of_what_it_is_told,
        _survives_failures,
        _lets_run,
    ):
        check(case)


def ended(key: Key, status: str = "finished", *, at: float = 1.0) -> Replicate:
    """Return a replicate that has ended."""
    return Replicate(*key, status=status, started_at=0.5, ended_at=at, starts=1)


def play(proposer: Proposer, *, newest_first: bool = False, status: str = "finished") -> list[PlannedReplicate]:
    """Run a proposer to its end, as the work queue would; return what it proposed.

    Args:
        proposer: A new one.
        newest_first: End the newest proposal first, as if older ones were slow.
        status: The status with which every replicate ends.
    """
    proposed: list[PlannedReplicate] = []
    at_work: list[PlannedReplicate] = []
    while True:
        while (one := proposer.ask()) is not None:
            proposed.append(one)
            at_work.append(one)
            _require(len(at_work) <= MAX_ASKS, f"it proposed {MAX_ASKS} replicates without waiting for an end")
        if not at_work:
            return proposed
        proposer.tell(ended(at_work.pop(-1 if newest_first else 0).key, status))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ProposerContractError(message)


def _proposes_each_once(case: ProposerCase) -> None:
    for newest_first in (False, True):
        proposer = case.make()
        keys = [one.key for one in play(proposer, newest_first=newest_first)]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        _require(not twice, f"proposed more than once: {twice}")
        if case.expected is not None:
            _require(set(keys) >= set(case.expected), f"never proposed: {sorted(set(case.expected) - set(keys))}")
            _require(set(keys) <= set(case.expected), f"not planned: {sorted(set(keys) - set(case.expected))}")
        _require(proposer.ask() is None, "it proposed more after it was exhausted")
        left = proposer.withheld
        _require(not left.num_waiting and not left.blocked, f"all has finished, and something is withheld: {left}")


def _proposes_what_others_need_first(case: ProposerCase) -> None:
    proposer = case.make()
    finished: set[Key] = set()
    at_work: list[Key] = []
    inside = {one.key for one in play(case.make())}
    while True:
        while (one := proposer.ask()) is not None:
            early = [key for key in one.depends_on if key in inside and key not in finished]
            _require(not early, f"{one.key} was proposed before {early} had finished, whose weights it starts with")
            at_work.append(one.key)
            _require(len(at_work) <= MAX_ASKS, f"it proposed {MAX_ASKS} replicates without waiting for an end")
        if not at_work:
            return
        finished.add(at_work[0])
        proposer.tell(ended(at_work.pop(0)))


def _refuses_an_end_of_what_it_never_proposed(case: ProposerCase) -> None:
    proposer = case.make()
    proposer.ask()
    try:
        proposer.tell(ended(("no such configuration", 0)))
    except UnknownReplicateError:
        return
    raise ProposerContractError("it took the end of a replicate that it had never proposed")


def _takes_a_later_end(case: ProposerCase) -> None:
    """A later end of the same replicate, by another driver, must be accepted."""
    proposer = case.make()
    proposed = []
    while (one := proposer.ask()) is not None:
        proposed.append(one.key)
        proposer.tell(ended(one.key, "crashed"))
        proposer.tell(ended(one.key, at=2.0))
        _require(len(proposed) <= MAX_ASKS, f"it proposed {MAX_ASKS} replicates and more")
    if case.expected is not None:
        lost = sorted(set(case.expected) - set(proposed))
        _require(not lost, f"never proposed although all finished at last: {lost}")


def _is_a_function_of_what_it_is_told(case: ProposerCase) -> None:
    """Equal ends must give equal proposals, so that a restarted driver continues where the last one was."""
    first, second = ([one.key for one in play(case.make())] for _ in range(2))
    _require(first == second, "two proposers that were told the same proposed other replicates")


def _survives_failures(case: ProposerCase) -> None:
    """Whatever the statuses, the proposer must come to an end and give a reason for what it withholds."""
    for status in STATUSES:
        if status in {"finished", "preempted"}:  # `preempted` is not an end
            continue
        proposer = case.make()
        keys = {one.key for one in play(proposer, status=status)}
        left = proposer.withheld
        _require(not left.num_waiting, f"all has ended as {status}, and {left.num_waiting} wait for ever")
        lost = set(case.expected or ()) - keys
        _require(
            bool(left.blocked) or not lost, f"all has ended as {status}, and nothing says why {lost} cannot start"
        )


def _lets_run(case: ProposerCase) -> None:
    proposer = case.make()
    if not case.never_stops or (one := proposer.ask()) is None:
        return
    report = Report(one.key, 1, {"train/loss": 1e9})
    _require(not proposer.should_stop(report), "it stops a replicate though it is said never to do so")
