"""The journal's writer, and claims between drivers that live and die."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from analysis.records.journal import read_events
from sweeps.store import leases
from sweeps.store.journal import JournalWriter
from sweeps.store.leases import ReplicateLeases


def test_what_is_written_is_on_disk_at_once_and_in_order(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "a")
    for seed in range(50):
        writer.write("started", config_id="c", seed=seed)
    events = list(read_events(tmp_path / "a.jsonl"))
    assert [event["seed"] for event in events] == list(range(50))
    times = [event["time"] for event in events]
    assert times == sorted(set(times)), "times never repeat or run backwards"
    writer.close()


def test_time_never_runs_backwards_though_the_clock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path, "a")
    writer.write("started", config_id="c", seed=0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    writer.write("started", config_id="c", seed=1)
    first, second = (event["time"] for event in read_events(tmp_path / "a.jsonl"))
    assert second > first
    writer.close()


def test_a_metric_that_is_not_finite_is_named_not_written(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "a")
    writer.write_report("c", 0, 10, {"good": 1.0, "bad": float("nan"), "worse": float("inf")})
    (event,) = read_events(tmp_path / "a.jsonl")
    assert event["metrics"] == {"good": 1.0}
    assert event["not_finite"] == ["bad", "worse"]
    writer.close()


def test_two_writers_never_share_a_file(tmp_path: Path) -> None:
    JournalWriter(tmp_path, "a").close()
    with pytest.raises(FileExistsError):
        JournalWriter(tmp_path, "a")


def test_a_claim_is_exclusive_until_released(tmp_path: Path) -> None:
    with ReplicateLeases(tmp_path, "a") as a, ReplicateLeases(tmp_path, "b") as b:
        assert a.claim("c", 0)
        assert not b.claim("c", 0)
        assert b.claim("c", 1)
        assert ReplicateLeases.drivers(tmp_path) == ["a", "b"]
        assert b.is_claimed_by_another("c", 0) and not a.is_claimed_by_another("c", 0)
        a.release("c", 0)
        assert b.claim("c", 0)
    assert not list(tmp_path.glob("*.claim"))
    assert ReplicateLeases.drivers(tmp_path) == []


def test_the_claims_of_a_killed_driver_fall(tmp_path: Path) -> None:
    code = (
        "import sys, os, pathlib; from sweeps.store.journal import ReplicateLeases\n"
        "book = ReplicateLeases(pathlib.Path(sys.argv[1]), 'dead').__enter__()\n"
        "assert book.claim('c', 0); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert (tmp_path / "c.seed=0.claim").exists()
    with ReplicateLeases(tmp_path, "b") as b:
        assert not b.is_claimed_by_another("c", 0)
        assert b.claim("c", 0)


@pytest.mark.parametrize(("age_seconds", "taken"), [(1.0, False), (leases.STALE_SECONDS + 5, True)])
def test_a_driver_on_another_machine_lives_by_its_heartbeat(
    age_seconds: float, taken: bool, tmp_path: Path
) -> None:
    owner = {"host": f"not-{socket.gethostname()}", "pid": 1, "process_started": 0.0}
    heartbeat = tmp_path / "far.driver"
    heartbeat.write_text(json.dumps(owner), encoding="utf-8")
    then = time.time() - age_seconds
    os.utime(heartbeat, (then, then))
    (tmp_path / "c.seed=0.claim").write_text("far", encoding="utf-8")
    with ReplicateLeases(tmp_path, "b") as b:
        assert b.claim("c", 0) is taken


def test_a_torn_heartbeat_keeps_nobody_alive(tmp_path: Path) -> None:
    (tmp_path / "torn.driver").write_text("", encoding="utf-8")
    (tmp_path / "c.seed=0.claim").write_text("torn", encoding="utf-8")
    with ReplicateLeases(tmp_path, "b") as b:
        assert ReplicateLeases.drivers(tmp_path) == ["b"]
        assert b.claim("c", 0)


def test_drivers_that_claim_and_release_at_once_never_hold_one_claim_together(tmp_path: Path) -> None:
    holders: list[str] = []
    wrong: list[str] = []

    def drive(book: ReplicateLeases) -> None:
        for _ in range(300):
            if book.claim("c", 0):
                holders.append(book.sweep_id)
                if len(holders) > 1:
                    wrong.append(str(holders))
                holders.remove(book.sweep_id)
                book.release("c", 0)

    with (
        ReplicateLeases(tmp_path, "a") as first,
        ReplicateLeases(tmp_path, "b") as second,
        ThreadPoolExecutor(2) as pool,
    ):
        for done in [pool.submit(drive, first), pool.submit(drive, second)]:
            done.result()
    assert wrong == []


def test_a_driver_that_was_silent_too_long_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.2)
    asked: list[str] = []

    def unwritable(path: Path) -> None:
        raise OSError("no filesystem")

    with ReplicateLeases(tmp_path, "a", on_stop=asked.append):
        time.sleep(0.1)
        assert asked == []
        monkeypatch.setattr(os, "utime", unwritable)
        deadline = time.monotonic() + 20
        while not asked and time.monotonic() < deadline:
            time.sleep(0.02)
    assert len(asked) == 1
    assert "others may have taken its claims" in asked[0]


def test_only_the_owner_releases(tmp_path: Path) -> None:
    with ReplicateLeases(tmp_path, "a") as a, ReplicateLeases(tmp_path, "b") as b:
        assert a.claim("c", 0)
        b.release("c", 0)
        assert not b.claim("c", 0)
