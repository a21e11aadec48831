"""The journal's writer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from analysis.records.journal import read_events
from sweeps.store.journal import JournalWriter
from tests.support.machine.disks import fill, no_file_grows, small_disk


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


def test_times_differ_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a microsecond is lost in writing: what the writer compares must be what it writes."""
    writer = JournalWriter(tmp_path, "a")
    for tenths in range(40):
        monkeypatch.setattr(time, "time", lambda tenths=tenths: 1_795_943_447.646_900_1 + 3e-7 * (tenths % 7))
        writer.write("started", config_id="c", seed=tenths)
    writer.close()
    times = [event["time"] for event in read_events(tmp_path / "a.jsonl")]
    assert times == sorted(set(times))


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


def test_half_a_line_on_a_full_disk_does_not_spoil_what_is_written_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        writer = JournalWriter(disk, "a")
        writer.write("started", config_id="c", seed=0)
        ballast = fill(disk, spare_bytes=4096)
        with pytest.raises(OSError, match="No space left"):
            writer.write("finished", config_id="c", seed=0, message="x" * 20_000)
        assert len(list(read_events(disk / "a.jsonl"))) == 1
        ballast.unlink()
        writer.write("interrupted", reason="full")
        writer.close()
        assert [event["event"] for event in read_events(disk / "a.jsonl")] == ["started", "interrupted"]


def test_a_line_that_cannot_be_written_leaves_no_part_of_it(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "a")
    with no_file_grows(), pytest.raises(OSError, match="File too large"):
        writer.write("started", config_id="c", seed=0)
    assert (tmp_path / "a.jsonl").read_bytes() == b""
    writer.write("started", config_id="c", seed=1)
    writer.close()
    assert [event["seed"] for event in read_events(tmp_path / "a.jsonl")] == [1]
