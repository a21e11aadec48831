"""The folder that drivers share meets the contract of a store, and the contract can fail, each part of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sweeps.store import leases
from sweeps.store.contract import CHECKS, StoreContractError, StoreUnderTest, check_store
from sweeps.store.journal import JournalWriter
from sweeps.store.leases import ReplicateLeases
from sweeps.store.reader import read_since
from sweeps.store.shared_folder import FolderJournal, FolderStore
from tests.support.machine.heartbeats import dead_driver, far_driver


class LocalUnderTest(FolderStore):
    """The folder, with the accidents that drivers have."""

    journal_class: type[FolderJournal] = FolderJournal
    leases_class: type[ReplicateLeases] = ReplicateLeases

    def __init__(self, results: Path) -> None:
        super().__init__(results)
        self.opened: list[FolderJournal] = []
        self.tables: dict[str, ReplicateLeases] = {}

    def journal(self, sweep_id: str) -> FolderJournal:
        self.opened.append(self.journal_class(self.path / "journal", sweep_id))
        return self.opened[-1]

    def leases(self, sweep_id: str) -> ReplicateLeases:
        self.tables[sweep_id] = self.leases_class(self.path / "leases", sweep_id)
        return self.tables[sweep_id]

    def tear(self, sweep_id: str) -> None:
        with (self.path / "journal" / f"{sweep_id}.jsonl").open("ab") as file:
            file.write(b'{"time": 1.0, "event": "started", "confi')

    def kill(self, sweep_id: str) -> None:
        self.silence(sweep_id)
        dead_driver(self.path / "leases", sweep_id)

    def silence(self, sweep_id: str) -> None:
        table = self.tables[sweep_id]
        table._stop.set()
        table._thread.join()

    def close(self) -> None:
        for journal in self.opened:
            journal.close()
        for name in self.tables:
            self.silence(name)


class ElsewhereUnderTest(LocalUnderTest):
    """Drivers die on another machine: nothing tells of it but that their heartbeat stands still."""

    def kill(self, sweep_id: str) -> None:
        self.silence(sweep_id)
        far_driver(self.path / "leases", sweep_id)
        for table in self.tables.values():
            table.drivers()
        time.sleep(leases.STALE_SECONDS + 0.05)


@contextmanager
def made(kind: type[LocalUnderTest], folder: Path) -> Iterator[LocalUnderTest]:
    store = kind(folder)
    try:
        yield store
    finally:
        store.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_folder_meets_the_contract(check: Callable[[StoreUnderTest], None], tmp_path: Path) -> None:
    with made(LocalUnderTest, tmp_path) as store:
        check(store)


@pytest.mark.parametrize("check", CHECKS[-3:], ids=lambda check: check.__name__)
def test_a_folder_meets_the_contract_between_machines(
    check: Callable[[StoreUnderTest], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.5)
    with made(ElsewhereUnderTest, tmp_path) as store:
        check(store)


def broken(**methods: Any) -> type[LocalUnderTest]:
    """Return a store that differs from the folder in these methods of its journal or its leases."""
    journal = {name: method for name, method in methods.items() if hasattr(FolderJournal, name)}
    table = {name: method for name, method in methods.items() if hasattr(ReplicateLeases, name)}
    assert len(journal) + len(table) == len(methods)
    parts = {
        "journal_class": type("BrokenJournal", (FolderJournal,), journal),
        "leases_class": type("BrokenLeases", (ReplicateLeases,), table),
    }
    return type("Broken", (LocalUnderTest,), parts)


def reads_backwards(self: FolderJournal, cursor: Any) -> Any:
    events, cursor = FolderJournal.read_since(self, cursor)
    return events[::-1], cursor


def forgets_where_it_was(self: FolderJournal, cursor: Any) -> Any:
    return FolderJournal.read_since(self, None)


def believes_half_an_event(self: FolderJournal, cursor: Mapping[Path, int] | None) -> Any:
    events, cursor = read_since(self._folder, cursor or {})
    torn = sum(not path.read_bytes().endswith(b"\n") for path in self._folder.glob("*.jsonl"))
    return events + torn * [{"time": 1.0, "event": "started", "seed": -1}], cursor


def believes_the_clock(self: FolderJournal, event: str, **fields: Any) -> None:
    if self._writer is None:
        self._writer = JournalWriter(self._folder, self._sweep_id)
    self._writer._last_time = 0.0
    self._writer.write(event, **fields)


def loses_the_third(self: FolderJournal, event: str, **fields: Any) -> None:
    if fields["seed"] != 3:
        FolderJournal.append(self, event, **fields)


def writes_under_another_name(self: FolderJournal, event: str, **fields: Any) -> None:
    FolderJournal.append(self, event, **fields)
    if self._writer is not None:
        self._writer.sweep_id = "a"


def looks_before_it_takes(self: ReplicateLeases, config_id: str, seed: int) -> bool:
    path = self._path(config_id, seed)
    if path.exists() and self._liveness.is_at_work(path.read_text(encoding="utf-8")):
        return False
    time.sleep(0.002)
    path.write_text(self.sweep_id, encoding="utf-8")
    return True


def releases_anything(self: ReplicateLeases, config_id: str, seed: int) -> None:
    self._path(config_id, seed).unlink(missing_ok=True)


def keeps_all_at_its_end(self: ReplicateLeases, *error: Any) -> None:
    self._stop.set()
    self._thread.join()


def waits_for_dead_drivers(self: ReplicateLeases, config_id: str, seed: int) -> bool:
    return not self._path(config_id, seed).exists() and ReplicateLeases.acquire(self, config_id, seed)


BROKEN: dict[str, tuple[type[LocalUnderTest], set[str]]] = {
    "reads backwards": (
        broken(read_since=reads_backwards),
        {"events_come_back_in_order", "times_never_run_backwards", "drivers_do_not_mix"},
    ),
    "has no cursor": (
        broken(read_since=forgets_where_it_was),
        {"a_cursor_goes_on_where_it_ended", "readers_see_a_prefix"},
    ),
    "believes half an event": (broken(read_since=believes_half_an_event), {"a_torn_event_never_happened"}),
    "believes the clock": (broken(append=believes_the_clock), {"times_never_run_backwards"}),
    "loses an event": (
        broken(append=loses_the_third),
        {"events_come_back_in_order", "a_cursor_goes_on_where_it_ended", "readers_see_a_prefix"}
        | {"drivers_do_not_mix", "times_never_run_backwards"},
    ),
    "mixes drivers": (broken(append=writes_under_another_name), {"drivers_do_not_mix"}),
    "gives to everybody": (
        broken(acquire=lambda self, config_id, seed: True),
        {"two_never_hold_one_lease", "of_many_at_once_one_gets_it", "only_the_holder_gives_back"}
        | {"the_leases_of_dead_drivers_expire", "to_release_a_lost_lease_is_harmless"},
    ),
    "looks before it takes": (broken(acquire=looks_before_it_takes), {"of_many_at_once_one_gets_it"}),
    "gives back for others": (
        broken(release=releases_anything),
        {"only_the_holder_gives_back", "to_release_a_lost_lease_is_harmless"},
    ),
    "keeps all at its end": (
        broken(__exit__=keeps_all_at_its_end),
        {"what_is_given_back_can_be_taken", "a_request_to_stop_is_heard"},
    ),
    "waits for the dead": (
        broken(acquire=waits_for_dead_drivers),
        {"the_leases_of_dead_drivers_expire", "to_release_a_lost_lease_is_harmless"},
    ),
    "counts the dead": (
        broken(drivers=lambda self: sorted(path.stem for path in self.folder.glob("*.driver"))),
        {"the_leases_of_dead_drivers_expire"},
    ),
    "is deaf": (broken(heartbeat=lambda self: None), {"a_request_to_stop_is_heard"}),
}

# Whether a reader that reads wrongly is seen to do so while another writes depends on when the two meet.
RACED = {"readers_see_a_prefix"}
READS_WRONGLY = {"reads backwards", "believes half an event"}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_store_fails_the_checks_that_are_about_it_and_no_others(defect: str, tmp_path: Path) -> None:
    kind, about = BROKEN[defect]
    failed = set()
    for check in CHECKS:
        with made(kind, tmp_path / check.__name__) as store:
            try:
                check(store)
            except StoreContractError:
                failed.add(check.__name__)
    assert about <= failed <= about | (RACED if defect in READS_WRONGLY else set())


def test_every_check_can_fail_and_the_message_names_it(tmp_path: Path) -> None:
    assert set().union(*(about for _, about in BROKEN.values())) == {check.__name__ for check in CHECKS}
    kind, _ = BROKEN["is deaf"]
    folders = iter(range(len(CHECKS)))
    with pytest.raises(StoreContractError, match=r"a_request_to_stop_is_heard: .* not heard"):
        check_store(lambda: made(kind, tmp_path / str(next(folders))))
