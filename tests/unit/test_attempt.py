"""Every end of a trial is a result with a record; nothing is raised into Ray, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.configs import small_config
from trainables import attempt
from trainables.assignment import Assignment
from trainables.attempt import Attempt
from trainables.code_hash import code_hash
from trainables.training import loop
from trainables.training.loop import Trainer


def assignment(folder: Path, **changes: Any) -> Assignment:
    config = small_config()
    fields: dict[str, Any] = {
        "config_id": "abc",
        "seed": 0,
        "config": config.model_dump(mode="json"),
        "data_hash": config.task.build(None).data_hash,
        "data_dir": None,
        "replicate_dir": str(folder / "seed=0"),
        "device": "cpu",
        "threads": 1,
        "micro_batch_size": None,
        "deterministic": True,
        "report_timeout_seconds": 600.0,
    }
    return Assignment(**{**fields, **changes})


def test_an_assignment_survives_json(tmp_path: Path) -> None:
    given = assignment(tmp_path)
    assert Assignment.from_json(given.to_json()) == given


def test_a_run_starts_reports_and_finishes(tmp_path: Path) -> None:
    events = list(Attempt(assignment(tmp_path)).events())
    assert [event["event"] for event in events] == ["started", "report", "report", "report"], events[-1]
    assert [event.get("outcome") for event in events] == [None, None, None, "finished"]
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RuntimeError("a bug in somebody's layer"), "crashed"),
        (torch.OutOfMemoryError("CUDA out of memory"), "oom"),
        (MemoryError(), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), "oom"),
    ],
)
def test_an_exception_is_a_result_with_its_traceback_on_disk(
    error: Exception, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(trainer: Trainer) -> None:
        raise error

    monkeypatch.setattr(Trainer, "_train_one_step", fails)
    last = list(Attempt(assignment(tmp_path)).events())[-1]
    assert last["outcome"] == outcome
    assert type(error).__name__ in last["message"]
    assert "Traceback" in (tmp_path / "seed=0" / "log.txt").read_text(encoding="utf-8")


def test_a_worker_with_other_data_refuses(tmp_path: Path) -> None:
    (event,) = Attempt(assignment(tmp_path, data_hash="0" * 64)).events()
    assert event["outcome"] == "crashed"
    assert "PHASESWEEP_DATA" in event["message"]


def test_an_attempt_continues_where_the_last_one_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut after the first report with a checkpoint: the second attempt ends with the same bits."""
    whole = list(Attempt(assignment(tmp_path / "whole")).events())[-1]
    monkeypatch.setattr(attempt, "CHECKPOINT_EVERY_SECONDS", 0.0)
    first = Attempt(assignment(tmp_path / "cut")).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    events = list(Attempt(assignment(tmp_path / "cut")).events())
    assert events[0]["step"] == 5
    assert [event["step"] for event in events[1:]] == [10, 12]
    timed = "train/tokens_per_second"
    assert {**events[-1]["metrics"], timed: 0} == {**whole["metrics"], timed: 0}
    folder = tmp_path / "cut" / "seed=0"
    assert len((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert len((folder / "system.csv").read_text(encoding="utf-8").splitlines()) == 4


def test_what_other_code_has_begun_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(Attempt(assignment(tmp_path / "whole")).events())[-1]
    monkeypatch.setattr(attempt, "CHECKPOINT_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(loop, "code_hash", lambda: "0123456789ab")
    first = Attempt(assignment(tmp_path / "cut")).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    monkeypatch.undo()
    events = list(Attempt(assignment(tmp_path / "cut")).events())
    assert [event["step"] for event in events] == [0, 5, 10, 12]
    assert events[-1]["metrics"]["val/bits_per_byte"] == whole["metrics"]["val/bits_per_byte"]
    log = (tmp_path / "cut" / "seed=0" / "log.txt").read_text(encoding="utf-8")
    assert f"was computed by code 0123456789ab, this is {code_hash()}: starting from the first step" in log


def test_the_checkpoint_outlives_the_worker_s_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver removes it once the result is in the journal; a driver killed before that still needs it."""
    monkeypatch.setattr(attempt, "CHECKPOINT_EVERY_SECONDS", 0.0)
    assert list(Attempt(assignment(tmp_path)).events())[-1]["outcome"] == "finished"
    assert (tmp_path / "seed=0" / "checkpoint" / "latest.pt").exists()


def test_a_folder_that_cannot_be_made_is_a_crash_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    (event,) = Attempt(assignment(tmp_path, replicate_dir=str(tmp_path / "file" / "seed=0"))).events()
    assert event["outcome"] == "crashed"
    assert "NotADirectoryError" in event["message"] and "could not be written" in event["message"]
