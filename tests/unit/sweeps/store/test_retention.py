"""`gc`: what nothing needs any more goes, and nothing else; and the forecast of disk."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from analysis.records.journal import JournalState
from sweeps.cli.stored_sweep import load_results
from sweeps.console import format_mib
from sweeps.store import cleanup as retention
from sweeps.store.cleanup import Keep, leftovers, remove
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import ReplicateLeases
from sweeps.store.usage import forecast, usage_mib
from tests.journals import config_id, journal_events
from tests.verbs import Call, caller, write_results

ARMS = {"baseline": 2.48, "coupling_2": 2.73}
STATUSES: dict[tuple[str, int], str | None] = {
    ("coupling_2", 0): None,
    ("coupling_2", 1): "crashed",
    ("coupling_2", 2): None,
}
SUBSET = {0: 3.0, 1: 2.0, 2: 2.5}
"""What the unfinished replicates of coupling_2 have scored on the validation subset so far, by seed."""
CHECKPOINT_BYTES = 300_000


def checkpoint(results: ResultsFolder, arm: str, seed: int) -> Path:
    path = results.replicate(config_id(arm), seed) / "checkpoint" / "latest.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(CHECKPOINT_BYTES))
    (path.parent.parent / "log.txt").write_text("a line\n", encoding="utf-8")
    return path


def of_a_dead_driver(claims: Path) -> tuple[Path, Path]:
    """Leave what a driver leaves that was killed: heartbeat and claim."""
    claims.mkdir(exist_ok=True)
    owner = {"host": socket.gethostname(), "pid": 2**22 + 1, "process_started": 0.0}
    heartbeat, claim = claims / "killed.driver", claims / f"{config_id('coupling_2')}.seed=0.claim"
    heartbeat.write_text(json.dumps(owner), encoding="utf-8")
    claim.write_text("killed", encoding="utf-8")
    return heartbeat, claim


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
    for event in events:
        if event["event"] == "report" and event["config_id"] == config_id("coupling_2"):
            event["metrics"]["val_subset/bits_per_char"] = SUBSET[event["seed"]]
    results = write_results(tmp_path, events)
    for seed in range(3):
        checkpoint(results, "coupling_2", seed)
    return results


@pytest.fixture
def litter(results: ResultsFolder) -> set[Path]:
    """What `gc` should remove, beside the checkpoints of what can continue."""
    heartbeat, claim = of_a_dead_driver(results.claims)
    stop = results.claims / "killed.stop"
    stop.write_text("somebody", encoding="utf-8")
    return {
        checkpoint(results, "baseline", 2).parent,
        checkpoint(results, "an arm of last week", 0).parent,
        checkpoint(results, "baseline", 7).parent,
        temporary(results.path / ".study.yaml.17.tmp", age_seconds=100),
        heartbeat,
        claim,
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
    assert not list(results.claims.glob("*.claim")) and not list(results.claims.glob("*.driver"))
    assert (results.replicate(config_id("an arm of last week"), 0) / "log.txt").exists()
    assert "nothing to remove" in call("gc", "tiny.yaml").out


@pytest.mark.parametrize(
    ("keep", "left"),
    [("last", {0, 1, 2}), ("best:2", {1, 2}), ("best:1", {1}), ("best:9", {0, 1, 2}), ("none", set())],
)
def test_checkpoints_that_could_be_continued_from_go_only_on_demand(
    call: Call, results: ResultsFolder, keep: str, left: set[int]
) -> None:
    """The best are those with the best newest report; a crash can be resumed too."""
    call("gc", "tiny.yaml", "--keep", keep)
    kept = {s for s in range(3) if (results.replicate(config_id("coupling_2"), s) / "checkpoint").exists()}
    assert kept == left
    assert (results.replicate(config_id("coupling_2"), 0) / "log.txt").exists()


def test_best_is_the_highest_where_the_metric_is_maximised(tmp_path: Path, call: Call) -> None:
    events = journal_events(ARMS, seeds=range(2), statuses={("coupling_2", 0): None, ("coupling_2", 1): None})
    for metric in events[0]["metrics"]:
        metric["direction"] = "maximise"
    for event in events:
        if event["event"] == "report":
            event["metrics"] = {"val_subset/bits_per_char": 1.0 + event["seed"]}
    results = write_results(tmp_path, events)
    best, other = checkpoint(results, "coupling_2", 1), checkpoint(results, "coupling_2", 0)
    call("gc", "tiny.yaml", "--keep", "best:1")
    assert best.exists() and not other.exists()


@pytest.mark.parametrize("keep", ["all", "best", "best:0", "best:-1", "best:x", "last:2"])
def test_an_unknown_retention_is_refused(call: Call, results: ResultsFolder, keep: str) -> None:
    called = call("gc", "tiny.yaml", "--keep", keep)
    assert called.code == 2
    assert f"--keep {keep}: write last, none, or best:N" in called.err


def test_nothing_is_removed_while_a_driver_is_at_work(
    call: Call, results: ResultsFolder, litter: set[Path]
) -> None:
    with ReplicateLeases(results.claims, "20261122-busy"):
        before = files(results.path)
        called = call("gc", "tiny.yaml")
        assert called.code == 2
        assert f"a driver is at work: 20261122-busy, process {os.getpid()} on {socket.gethostname()}" in called.err
        assert files(results.path) == before
        said = call("gc", "tiny.yaml", "--dry-run", "--json").json("gc")
        assert len(said["at_work"]) == 1 and len(said["removed"]) == len(litter)
    assert call("gc", "tiny.yaml").code == 0


def test_a_replicate_that_a_driver_claims_meanwhile_keeps_its_checkpoint(
    call: Call, results: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver starts after `gc` has looked whether one is at work."""
    stored = load_results("tiny.yaml", "laptop", [])
    found = leftovers(stored, Keep.parse("none"))
    monkeypatch.setattr(retention, "living_drivers", lambda folder: [])
    with ReplicateLeases(results.claims, "quick") as claims:
        assert claims.claim(config_id("coupling_2"), 1)
        removed = remove(stored, found)
        assert claims.claim(config_id("coupling_2"), 2), "what gc has claimed it has released"
    assert {item.path.parent.name for item in removed} == {"seed=0", "seed=2"}
    assert (results.replicate(config_id("coupling_2"), 1) / "checkpoint" / "latest.pt").exists()


def test_usage_is_told_by_kind(results: ResultsFolder) -> None:
    (results.path.parent.parent / "mlflow.db").write_bytes(bytes(2**20))
    folder = results.replicate(config_id("baseline"), 0)
    folder.mkdir(parents=True)
    for name, size in {"metrics.jsonl": 1000, "stacks.txt": 300, "config.yaml": 200}.items():
        (folder / name).write_bytes(bytes(size))
    usage = usage_mib(results)
    in_bytes = {kind: round(mib * 2**20) for kind, mib in usage.items()}
    assert in_bytes == {
        "journal": (results.journal / "a.jsonl").stat().st_size,
        "checkpoints": 3 * CHECKPOINT_BYTES,
        "curves": 1000,
        "logs": 3 * len("a line\n"),
        "other": 500 + (results.path / "study.yaml").stat().st_size,
        "mlflow": 2**20,
    }


def test_the_forecast_counts_the_largest_that_run_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve bytes a parameter, twice while the next checkpoint is written; only what is missing counts."""
    results = write_results(tmp_path, journal_events({"baseline": 2.5}, seeds=range(1)))
    million = 2**20
    sizes = [(config_id("baseline"), 0, 100 * million), ("small", 0, million), ("large", 0, 10 * million)]
    sizes.append(("middle", 0, 4 * million))
    state = results.state()
    rest = forecast(results, state, sizes, concurrency=2)
    assert rest.num_missing == 3
    assert rest.checkpoints_mib == pytest.approx(2 * 12 * (10 + 4))
    journal_mib = (results.journal / "a.jsonl").stat().st_size / million
    other_mib = (results.path / "study.yaml").stat().st_size / million
    assert rest.records_mib == pytest.approx(3 * (11 * journal_mib + other_mib))
    assert rest.measured and rest.fits
    assert str(rest).startswith("disk: at most 336 MiB more for 3 replicates (checkpoints 336 MiB at a time)")
    free = shutil.disk_usage(tmp_path)._replace(free=300 * million)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    crowded = forecast(results, state, sizes, concurrency=2)
    assert not crowded.fits
    assert "300 MiB free: NOT ENOUGH" in str(crowded)
    assert "nothing more to come" in str(forecast(results, state, sizes[:1], concurrency=2))


def test_the_forecast_before_anything_has_run_needs_no_folder(tmp_path: Path) -> None:
    rest = forecast(ResultsFolder(tmp_path / "not" / "there"), JournalState(), [("a", 0, 1)], 8)
    assert (rest.num_missing, rest.measured) == (1, False)
    assert rest.records_mib > 0 and rest.free_mib > 0


@pytest.mark.parametrize(
    ("mib", "text"),
    [(0, "0 MiB"), (0.01, "<0.1 MiB"), (0.44, "0.4 MiB"), (12.3, "12 MiB"), (2048 * 1.7, "3.4 GiB")],
)
def test_sizes_are_told_in_few_digits(mib: float, text: str) -> None:
    assert format_mib(mib) == text
