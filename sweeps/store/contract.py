"""The contract suite of stores of journals and leases, for the author of a new store too.

`check_store(make)` runs every check on a new store of its own; `CHECKS` lists the checks for a test framework.
A folder (`sweeps.store.shared_folder`) is one implementation; a database or an object store could be another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol
from unittest.mock import patch


class JournalStore(Protocol):
    """The journal of a study as one driver writes it and everybody reads it."""

    def append(self, event: str, **fields: Any) -> None:
        """Write one event of this driver; it is durable when the call returns."""

    def read_since(self, cursor: Any) -> tuple[list[dict[str, Any]], Any]:
        """Return the complete events since `cursor` (None: all), each driver's in order, and a new cursor."""


class LeaseTable(Protocol):
    """The leases of a study as one driver holds them."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> None: ...

    def acquire(self, config_id: str, seed: int) -> bool:
        """Take the lease of a replicate; return False if a living driver has it."""

    def release(self, config_id: str, seed: int) -> None:
        """Release a lease; without effect if it is not ours."""

    def is_leased_by_another(self, config_id: str, seed: int) -> bool:
        """Return whether another living driver has this replicate."""

    def heartbeat(self) -> str | None:
        """Show the others that this driver is alive; return who has asked it to stop, or None."""

    def drivers(self) -> Sequence[str]:
        """Return the names of the drivers that are at work."""

    def request_stop(self, sweep_id: str, *, by: str) -> None:
        """Ask a driver to stop."""


class StoreUnderTest(Protocol):
    """The store of one study, empty at first, and ways to simulate failures of drivers."""

    def journal(self, sweep_id: str) -> JournalStore:
        """Return the journal as a driver of this name sees it; a name is used once."""

    def leases(self, sweep_id: str) -> LeaseTable:
        """Return the leases of a driver of this name."""

    def tear(self, sweep_id: str) -> None:
        """Append half an event to this driver's journal, as if it had been killed while writing."""

    def kill(self, sweep_id: str) -> None:
        """Let this driver die without releasing its leases, and wait until others can know that."""


class StoreContractError(AssertionError):
    """A store breaks the contract; the message says how."""


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise StoreContractError(message)


def events_come_back_in_order(store: StoreUnderTest) -> None:
    """Appended events are read back complete: in order, with driver, time and exact values."""
    values = {"text": 'θ \n \\ "', "nothing": None, "number": 0.1 + 0.2, "nested": {"list": [1, {"a": -1e-300}]}}
    journal = store.journal("a")
    for seed in range(20):
        journal.append("started", config_id="c", seed=seed, **values)
    events, _ = journal.read_since(None)
    _demand([event.get("seed") for event in events] == list(range(20)), "events are lost, doubled or out of order")
    for event in events:
        named = {name: event.get(name) for name in values}
        _demand(named == values, f"values have changed: {named} instead of {values}")
        _demand((event["event"], event["sweep_id"]) == ("started", "a"), "an event does not say whose it is")
        _demand(isinstance(event["time"], float), "an event has no time")


def a_cursor_goes_on_where_it_ended(store: StoreUnderTest) -> None:
    """Reading from a cursor returns everything new once, whoever wrote it, and nothing if nothing is new."""
    first, second = store.journal("a"), store.journal("b")
    seen, cursor = [], None
    for seed in range(6):
        (first if seed % 2 else second).append("started", config_id="c", seed=seed)
        events, cursor = first.read_since(cursor)
        seen += [event["seed"] for event in events]
        _demand(seen == list(range(seed + 1)), f"after {seed + 1} events these are read: {seen}")
        events, cursor = first.read_since(cursor)
        _demand(events == [], "events are read a second time")


def times_never_run_backwards(store: StoreUnderTest) -> None:
    """The times of a driver's events ascend even if its clock is set back between them."""
    journal = store.journal("a")
    now = time.time()
    for seed, offset in enumerate((0.0, -3600.0, -7200.0, 0.0)):
        with patch("time.time", lambda offset=offset: now + offset):
            journal.append("started", config_id="c", seed=seed)
    times = [event["time"] for event in journal.read_since(None)[0]]
    _demand(len(times) == 4 and times == sorted(set(times)), f"times are {times}")


def a_torn_event_never_happened(store: StoreUnderTest) -> None:
    """Half an event at the end of a driver's journal is not read, and hides no other event."""
    torn, other = store.journal("a"), store.journal("b")
    torn.append("started", config_id="c", seed=0)
    store.tear("a")
    other.append("started", config_id="c", seed=1)
    for reader in (torn, other):
        seeds = sorted(event["seed"] for event in reader.read_since(None)[0])
        _demand(seeds == [0, 1], f"of the seeds 0 and 1 and half an event these are read: {seeds}")


def readers_see_a_prefix(store: StoreUnderTest) -> None:
    """A reader sees a prefix of the events that a driver is writing, never with a gap."""
    writer, reader = store.journal("a"), store.journal("b")
    has_ended = threading.Event()

    def write() -> None:
        try:
            for seed in range(150):
                writer.append("started", config_id="c" * (1 + 97 * (seed % 7)), seed=seed)
        finally:
            has_ended.set()

    seen: list[int] = []
    cursor = None
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(write)
        is_last = False
        while not is_last:
            is_last = has_ended.is_set()
            events, cursor = reader.read_since(cursor)
            seen += [event["seed"] for event in events]
            _demand(seen == list(range(len(seen))), f"events are lost or out of order: {seen}")
        done.result()
    _demand(len(seen) == 150, f"150 events were written and {len(seen)} read")


def drivers_do_not_mix(store: StoreUnderTest) -> None:
    """Drivers that write concurrently each have all their events, in order, under their own name."""
    names = ("a", "b", "c")
    journals = {name: store.journal(name) for name in names}

    def write(name: str) -> None:
        for seed in range(40):
            journals[name].append("started", config_id=name, seed=seed)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(write, names))
    events, _ = journals["a"].read_since(None)
    for name in names:
        seeds = [event["seed"] for event in events if event["sweep_id"] == name and event["config_id"] == name]
        _demand(seeds == list(range(40)), f"of driver {name} these are read: {seeds}")


def two_never_hold_one_lease(store: StoreUnderTest) -> None:
    """A lease that a living driver holds cannot be acquired, not even by that driver a second time."""
    with store.leases("a") as a, store.leases("b") as b:
        _demand(a.acquire("c", 0), "a free lease is refused")
        for _ in range(3):
            _demand(not b.acquire("c", 0) and not a.acquire("c", 0), "a lease is given twice")
            a.heartbeat()
        _demand(b.is_leased_by_another("c", 0) and not a.is_leased_by_another("c", 0), "a holder is not seen")
        _demand(b.acquire("c", 1) and b.acquire("d", 0), "the lease of another replicate is refused")


def of_many_at_once_one_gets_it(store: StoreUnderTest) -> None:
    """Of drivers that request the same lease at the same moment, exactly one gets it."""
    names, seeds = [f"driver-{number}" for number in range(4)], range(12)
    with ExitStack() as stack, ThreadPoolExecutor(len(names)) as pool:
        tables = [stack.enter_context(store.leases(name)) for name in names]
        together = threading.Barrier(len(names))

        def take(table: LeaseTable) -> list[int]:
            together.wait()
            return [seed for seed in seeds if table.acquire("c", seed)]

        taken = sorted(seed for found in pool.map(take, tables) for seed in found)
    _demand(taken == list(seeds), f"of the leases 0 to 11 these were given: {taken}")


def what_is_given_back_can_be_taken(store: StoreUnderTest) -> None:
    """A lease is free once its holder releases it, and all its leases once it ends; others see that."""
    with store.leases("b") as b:
        with store.leases("a") as a:
            _demand(a.acquire("c", 0) and a.acquire("c", 1), "a free lease is refused")
            _demand(sorted(b.drivers()) == ["a", "b"], f"at work are a and b, not {b.drivers()}")
            a.release("c", 0)
            _demand(not b.is_leased_by_another("c", 0), "a lease that was given back still has a holder")
            _demand(b.acquire("c", 0), "a lease that was given back is refused")
        _demand(b.acquire("c", 1), "the lease of a driver that has ended is refused")
        _demand(list(b.drivers()) == ["b"], f"at work is b, not {b.drivers()}")


def only_the_holder_gives_back(store: StoreUnderTest) -> None:
    """Releasing a lease that one does not hold changes nothing."""
    with store.leases("a") as a, store.leases("b") as b:
        _demand(a.acquire("c", 0), "a free lease is refused")
        b.release("c", 0)
        b.release("c", 1)
        _demand(not b.acquire("c", 0), "a driver has given back what another one holds")


def the_leases_of_dead_drivers_expire(store: StoreUnderTest) -> None:
    """A dead driver is no longer listed, and each of its leases can be acquired by exactly one other."""
    dead = store.leases("dead")
    dead.__enter__()
    with store.leases("a") as a, store.leases("b") as b:
        _demand(dead.acquire("c", 0) and not a.acquire("c", 0), "a lease is given twice")
        store.kill("dead")
        _demand(sorted(a.drivers()) == ["a", "b"], f"at work are a and b, not {a.drivers()}")
        _demand(not a.is_leased_by_another("c", 0), "a dead driver still holds its lease")
        _demand(a.acquire("c", 0), "the lease of a dead driver is refused")
        _demand(not b.acquire("c", 0), "the lease of a dead driver is given twice")


def to_release_a_lost_lease_is_harmless(store: StoreUnderTest) -> None:
    """A driver that was taken for dead and releases its lost lease does not take it from the new holder."""
    lost = store.leases("lost")
    lost.__enter__()
    with store.leases("a") as a, store.leases("b") as b:
        _demand(lost.acquire("c", 0), "a free lease is refused")
        store.kill("lost")
        _demand(a.acquire("c", 0), "the lease of a dead driver is refused")
        lost.release("c", 0)
        lost.__exit__(None, None, None)
        _demand(b.is_leased_by_another("c", 0) and not b.acquire("c", 0), "a lease was taken from its new holder")


def a_request_to_stop_is_heard(store: StoreUnderTest) -> None:
    """A driver learns at its next heartbeat who asks it to stop; no other driver does, nor its successor."""
    with store.leases("b") as b:
        with store.leases("a") as a:
            _demand(a.heartbeat() is None and b.heartbeat() is None, "a request is heard that nobody made")
            b.request_stop("a", by="somebody")
            _demand(a.heartbeat() == "somebody", "a request to stop is not heard")
            _demand(b.heartbeat() is None, "a request to stop another driver is heard")
        with store.leases("a") as again:
            _demand(again.heartbeat() is None, "a driver hears a request that its predecessor got")


CHECKS: tuple[Callable[[StoreUnderTest], None], ...] = (
    events_come_back_in_order,
    a_cursor_goes_on_where_it_ended,
    times_never_run_backwards,
    a_torn_event_never_happened,
    readers_see_a_prefix,
    drivers_do_not_mix,
    two_never_hold_one_lease,
    of_many_at_once_one_gets_it,
    what_is_given_back_can_be_taken,
    only_the_holder_gives_back,
    the_leases_of_dead_drivers_expire,
    to_release_a_lost_lease_is_harmless,
    a_request_to_stop_is_heard,
)


def check_store(make: Callable[[], AbstractContextManager[StoreUnderTest]]) -> None:
    """Run every check, each on a new store.

    Raises:
        StoreContractError: If the store breaks the contract; the message names the check.
    """
    for check in CHECKS:
        with make() as store:
            try:
                check(store)
            except StoreContractError as error:
                raise StoreContractError(f"{check.__name__}: {error}") from error
