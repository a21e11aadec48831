"""`gc`: what nothing needs any more goes, and nothing else; and the forecast of disk."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from analysis.records.journal import JournalState, merge
from cluster.inventory import local_inventory
from sweeps.cli.plan import forecast_of_plan
from sweeps.cli.stored_sweep import load_results
from sweeps.console import format_mib
from sweeps.plan.builder import build_plan
from sweeps.store import cleanup as retention
from sweeps.store.cleanup import leftovers, remove
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import ReplicateLeases
from sweeps.store.usage import forecast
from sweeps.studies.resolve import load_study
from tests.support.machine.disks import fill, free_bytes, small_disk
from tests.support.machine.heartbeats import dead_driver
from tests.support.sweeps.journals import config_id, journal_events
from tests.support.sweeps.studies import write_study
from tests.support.sweeps.verbs import Call, caller, write_results

ARMS = {"baseline": 2.48, "coupling_2": 2.73}
STATUSES: dict[tuple[str, int], str | None] = {
    ("coupling_2", 0): None,
    ("coupling_2", 1): "crashed",
    ("coupling_2", 2): None,
}
CHECKPOINT_BYTES = 300_000


def checkpoint(results: ResultsFolder, arm: str, seed: int) -> Path:
    path = results.replicate(config_id(arm), seed) / "checkpoint" / "latest.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(CHECKPOINT_BYTES))
    (path.parent.parent / "log.txt").write_text("a line\n", encoding="utf-8")
    return path


def of_a_dead_driver(leases: Path) -> tuple[Path, Path]:
    """Leave what a driver leaves that was killed: heartbeat and lease."""
    heartbeat, lease = dead_driver(leases, "killed"), leases / f"{config_id('coupling_2')}.seed=0.lease"
    lease.write_text("killed", encoding="utf-8")
    return heartbeat, lease


def temporary(path: Path, *, age_seconds: float) -> Path:
    path.write_text("half", encoding="utf-8")
    os.utime(path, (time.time() - age_seconds,) * 2)
    return path


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def results(tmp_path: Path) -> ResultsFolder:
    """Two of six replicates are results without a checkpoint, one has one, three could continue from theirs."""
    events = journal_events(ARMS, seeds=range(3), statuses=STATUSES)
    results = write_results(tmp_path, events)
    for seed in range(3):
        checkpoint(results, "coupling_2", seed)
    return results


@pytest.fixture
def litter(results: ResultsFolder) -> set[Path]:
    """What `gc` should remove, beside the checkpoints of what can continue."""
    heartbeat, lease = of_a_dead_driver(results.leases)
    stop = results.leases / "killed.stop"
    stop.write_text("somebody", encoding="utf-8")
    return {
        checkpoint(results, "baseline", 2).parent,
        checkpoint(results, "an arm of last week", 0).parent,
        checkpoint(results, "an arm of last week", 7).parent,
        temporary(results.path / ".study.yaml.17.tmp", age_seconds=100),
        heartbeat,
        lease,
        stop,
    }


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def test_a_dry_run_says_what_would_go_and_removes_nothing(
    call: Call, results: ResultsFolder, litter: set[Path]
) -> None:
    before = files(results.path)
    said = call("gc", "tiny.yaml", "--dry-run", "--json").json("gc")
    assert {Path(item["path"]) for item in said["removed"]} == litter
    assert said["freed_mib"] == pytest.approx(3 * CHECKPOINT_BYTES / 2**20, abs=0.001)
    assert files(results.path) == before
    assert "nothing was removed" in call("gc", "tiny.yaml", "--dry-run").out


def test_what_was_run_with_more_seeds_can_continue_after_a_run_with_fewer(
    call: Call, results: ResultsFolder
) -> None:
    kept = checkpoint(results, "baseline", 7)
    assert "nothing to remove" in call("gc", "tiny.yaml").out
    assert kept.exists()
    assert call("gc", "tiny.yaml", "--keep", "none").code == 0
    assert not kept.exists()


def test_it_removes_that_and_keeps_the_journal_and_what_can_continue(
    call: Call, results: ResultsFolder, litter: set[Path]
) -> None:
    fresh = temporary(results.path / "fresh.tmp", age_seconds=1)
    before = files(results.path)
    out = call("gc", "tiny.yaml").out
    assert "removed 7 things, 0.9 MiB" in out
    assert not any(path.exists() for path in litter)
    gone = {path for path in before if any(path == each or path.is_relative_to(each) for each in litter)}
    after = files(results.path)
    assert {path: content for path, content in before.items() if path not in gone} == {
        path: content for path, content in after.items() if path.name != "lock"
    }
    assert fresh.exists()
    assert not list(results.leases.glob("*.lease")) and not list(results.leases.glob("*.driver"))
    assert (results.replicate(config_id("an arm of last week"), 0) / "log.txt").exists()
    assert "nothing to remove" in call("gc", "tiny.yaml").out


@pytest.mark.parametrize(("keep", "left"), [("last", {0, 1, 2}), ("none", set())])
def test_checkpoints_that_could_be_continued_from_go_only_on_demand(
    call: Call, results: ResultsFolder, keep: str, left: set[int]
) -> None:
    """A crash can be resumed too."""
    call("gc", "tiny.yaml", "--keep", keep)
    kept = {s for s in range(3) if (results.replicate(config_id("coupling_2"), s) / "checkpoint").exists()}
    assert kept == left
    assert (results.replicate(config_id("coupling_2"), 0) / "log.txt").exists()


@pytest.mark.parametrize(
    ("others", "keep", "stays"), [(None, "last", True), ("finished", "last", False), (None, "none", False)]
)
def test_a_pruned_replicate_can_be_promoted_until_the_study_is_done(
    others: str | None, keep: str, stays: bool, call: Call, tmp_path: Path
) -> None:
    statuses: dict[tuple[str, int], str | None] = {("coupling_2", 0): "pruned", ("coupling_2", 1): others}
    results = write_results(tmp_path, journal_events(ARMS, seeds=range(2), statuses=statuses))
    path = checkpoint(results, "coupling_2", 0)
    assert call("gc", "tiny.yaml", "--keep", keep).code == 0
    assert path.exists() == stays


@pytest.mark.parametrize("keep", ["all", "best:2", "last:2"])
def test_an_unknown_retention_is_refused(call: Call, results: ResultsFolder, keep: str) -> None:
    called = call("gc", "tiny.yaml", "--keep", keep)
    assert called.code == 2
    assert f"--keep {keep}: write last or none" in called.err


def test_nothing_is_removed_while_a_driver_is_at_work(
    call: Call, results: ResultsFolder, litter: set[Path]
) -> None:
    with ReplicateLeases(results.leases, "20261122-busy"):
        before = files(results.path)
        called = call("gc", "tiny.yaml")
        assert called.code == 2
        assert f"a driver is at work: 20261122-busy, process {os.getpid()} on {socket.gethostname()}" in called.err
        assert files(results.path) == before
        said = call("gc", "tiny.yaml", "--dry-run", "--json").json("gc")
        assert len(said["at_work"]) == 1 and len(said["removed"]) == len(litter)
    assert call("gc", "tiny.yaml").code == 0


def test_a_replicate_that_a_driver_leases_meanwhile_keeps_its_checkpoint(
    call: Call, results: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver starts after `gc` has looked whether one is at work."""
    stored = load_results("tiny.yaml", "laptop", [])
    found = leftovers(stored.folder, stored.state, stored.sweep, "none")
    monkeypatch.setattr(retention, "living_drivers", lambda folder: [])
    with ReplicateLeases(results.leases, "quick") as leases:
        assert leases.acquire(config_id("coupling_2"), 1)
        removed = remove(stored.folder, found)
        assert leases.acquire(config_id("coupling_2"), 2), "gc holds nothing"
    assert {item.path.parent.name for item in removed} == {"seed=0", "seed=2"}
    assert (results.replicate(config_id("coupling_2"), 1) / "checkpoint" / "latest.pt").exists()


def test_it_makes_room_on_a_full_disk(tmp_path: Path, call: Call) -> None:
    """Where the lease of a replicate could not be written: then it is needed most."""
    with small_disk(tmp_path / "results", "2m") as disk:
        results = write_results(tmp_path, journal_events(ARMS, seeds=range(3)))
        done = checkpoint(results, "baseline", 2)
        of_a_dead_driver(results.leases)
        fill(disk)
        assert free_bytes(disk) == 0
        called = call("gc", "tiny.yaml")
        assert called.code == 0, called.err
        assert "removed 3 things, 0.3 MiB" in called.out
        assert not done.exists() and free_bytes(disk) >= CHECKPOINT_BYTES


def test_a_temporary_file_is_dated_by_the_clock_of_the_filesystem(
    call: Call, results: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = temporary(results.path / "fresh.tmp", age_seconds=1)
    old = temporary(results.path / "old.tmp", age_seconds=100)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600)
    call("gc", "tiny.yaml")
    assert fresh.exists() and not old.exists()


def test_the_forecast_counts_the_largest_that_run_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve bytes a parameter, twice while the next checkpoint is written."""
    million = 2**20
    sizes = [million, 10 * million, 4 * million]
    rest = forecast(sizes, num_reports=256, concurrency=2, folder=tmp_path / "not" / "there")
    assert rest.num_missing == 3
    assert rest.checkpoints_mib == pytest.approx(2 * 12 * (10 + 4))
    assert rest.records_mib == pytest.approx(2.0)
    assert str(rest).startswith("disk: at most 338 MiB more for 3 replicates (checkpoints 336 MiB at a time)")
    free = shutil.disk_usage(tmp_path)._replace(free=300 * million)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    crowded = forecast(sizes, num_reports=256, concurrency=2, folder=tmp_path)
    assert "300 MiB free: NOT ENOUGH" in str(crowded)
    assert "nothing more to come" in str(forecast([], num_reports=0, concurrency=2, folder=tmp_path))


def test_the_forecast_of_a_plan_counts_what_is_missing_with_its_reports(tmp_path: Path) -> None:
    plan = build_plan(load_study(str(write_study(tmp_path, seeds=2)), "laptop"), local_inventory(), None)
    folder = ResultsFolder(tmp_path / "results")
    whole = forecast_of_plan(plan, folder, JournalState())
    assert whole.num_missing == 4
    assert whole.records_mib == pytest.approx(4 * 2 * 8192 / 2**20), "20 steps, a report every 10"
    ended = {"time": 1.0, "sweep_id": "s", "event": "finished", "config_id": plan.arms[0].config_id, "seed": 0}
    assert forecast_of_plan(plan, folder, merge([ended])).num_missing == 3


@pytest.mark.parametrize(
    ("mib", "text"),
    [(0, "0 MiB"), (0.01, "<0.1 MiB"), (0.44, "0.4 MiB"), (12.3, "12 MiB"), (2048 * 1.7, "3.4 GiB")],
)
def test_sizes_are_told_in_few_digits(mib: float, text: str) -> None:
    assert format_mib(mib) == text
