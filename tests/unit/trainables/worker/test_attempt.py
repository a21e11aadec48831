"""Every end of a trial is a result with a record; nothing is raised into Ray, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.machine.disks import no_file_grows
from tests.support.machine.trial_process import computed
from tests.support.models.configs import small_assignment, small_config
from trainables.tasks.base import TaskConfig
from trainables.training.loop import Trainer
from trainables.worker import attempt, checkpointing
from trainables.worker.assignment import Assignment
from trainables.worker.attempt import Attempt


def test_an_assignment_survives_json(tmp_path: Path) -> None:
    given = small_assignment(tmp_path)
    assert Assignment.from_json(given.to_json()) == given


def test_a_run_starts_reports_and_finishes(tmp_path: Path) -> None:
    events = list(Attempt(small_assignment(tmp_path)).events())
    assert [event["event"] for event in events] == ["started", "report", "report", "report"], events[-1]
    assert [event.get("outcome") for event in events] == [None, None, None, "finished"]
    assert torch.get_num_threads() == 1


def test_what_a_finished_model_writes_is_kept(tmp_path: Path) -> None:
    samples = {"num_samples": 2, "prompt_tokens": 4, "num_tokens": 8}
    config = small_config(task={"samples": samples}).model_dump(mode="json")
    texts = []
    for folder in ("one", "other"):
        list(Attempt(small_assignment(tmp_path / folder, config=config)).events())
        texts.append((tmp_path / folder / "seed=0" / "samples.txt").read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert texts[0].startswith("--- 1 prompt\n")


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
    failed = Attempt(small_assignment(tmp_path))
    last = list(failed.events())[-1]
    assert (last["outcome"], last["suspected"]) == (outcome, False)
    assert type(error).__name__ in last["message"]
    assert (failed.recycle_reason() != "") == (outcome == "oom")
    assert failed.error is error
    assert error.__traceback__ is None, "its frames hold the model"
    assert "Traceback" in (tmp_path / "seed=0" / "log.txt").read_text(encoding="utf-8")


def test_a_worker_with_other_data_refuses(tmp_path: Path) -> None:
    (event,) = Attempt(small_assignment(tmp_path, data_hash="0" * 64)).events()
    assert event["outcome"] == "crashed"
    assert "PHASESWEEP_DATA" in event["message"]


def test_a_plugin_that_ends_the_process_is_a_crash_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaves(trainer: Trainer) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(Trainer, "_train_one_step", leaves)
    last = list(Attempt(small_assignment(tmp_path)).events())[-1]
    assert (last["outcome"], last["message"]) == ("crashed", "SystemExit: 3")
    assert not (tmp_path / "seed=0" / "stacks.txt").exists()


def test_a_full_disk_is_no_fault_of_the_trial_which_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it writes first then: a line of its log, a report, a checkpoint."""
    monkeypatch.setattr(checkpointing, "MIN_SECONDS", 0.0)
    whole = list(Attempt(small_assignment(tmp_path / "whole")).events())[-1]
    for step in range(4):
        events = Attempt(small_assignment(tmp_path / f"{step}")).events()
        for _ in range(step):
            next(events)
        with no_file_grows():
            failed = next(events)
        assert (failed["outcome"], failed["disk_is_full"], failed["suspected"]) == ("preempted", True, False)
        assert failed["message"] == f"no space left on {tmp_path / str(step) / 'seed=0'}"
        again = list(Attempt(small_assignment(tmp_path / f"{step}")).events())[-1]
        assert computed([again]) == computed([whole])


def test_a_folder_that_cannot_be_made_is_a_crash_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    (event,) = Attempt(small_assignment(tmp_path, replicate_dir=str(tmp_path / "file" / "seed=0"))).events()
    assert event["outcome"] == "crashed"
    assert "NotADirectoryError" in event["message"] and "could not be written" in event["message"]


def test_a_task_with_a_list_is_loaded_once_and_each_other_one_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[list[int]] = []

    class ListedConfig(TaskConfig):
        name: str = "listed"
        sizes: list[int]
        weights: dict[str, float] = {}

        def build(self, data_dir: Path | None) -> Any:
            built.append(self.sizes)
            return object()

    monkeypatch.setattr(attempt, "_tasks", {})
    one, other, third = (ListedConfig(sizes=[size]) for size in (1, 2, 3))
    tasks = [attempt._load_task(config, None) for config in (one, other, one, third, one, other)]
    assert tasks[0] is tasks[2] is tasks[4]
    assert built == [[1], [2], [3], [2]], "the two used last are kept"


def test_what_a_power_loss_left_of_the_curve_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    first = Attempt(small_assignment(tmp_path)).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    path = tmp_path / "seed=0" / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 5, "tra\n' + bytes(64) + b"\n\xff{}")
    events = list(Attempt(small_assignment(tmp_path)).events())
    assert [event["step"] for event in events] == [5, 10, 12], events[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    assert (lines[0], len(lines)) == (whole, 3)


def test_a_trial_adopts_the_nearest_equal_replicate_that_has_saved_before_its_change(tmp_path: Path) -> None:
    changes = [{"from_step": 5, "learning_rate": 1e-2}, {"from_step": 10, "learning_rate": 1e-3}]
    config = small_config(optimizer={"changes": changes})
    places = []
    for number, (earlier, until) in enumerate(config.earlier()):
        place = tmp_path / str(number)
        parent = Attempt(small_assignment(place, config=earlier.model_dump(mode="json")))
        events = parent.events()
        assert any(event["step"] == until for event in events)
        parent.stop()
        places.append(str(place / "seed=0"))

    def begun(name: str, *dirs: str) -> int:
        given = small_assignment(tmp_path / name, config=config.model_dump(mode="json"), earlier_dirs=[*dirs])
        events = list(Attempt(given).events())
        assert events[-1]["outcome"] == "finished"
        last.append(events[-1]["metrics"]["val/bits_per_char"])
        return int(events[0]["step"])

    last: list[float] = []
    assert begun("both", *places) == 10
    assert begun("farther", str(tmp_path / "nowhere"), places[1]) == 5
    assert begun("none") == 0
    (Path(places[0]) / "checkpoint" / "latest.pt").write_bytes(b"torn")
    assert begun("torn", *places) == 5
    assert "not continued from" in (tmp_path / "torn" / "seed=0" / "log.txt").read_text(encoding="utf-8")
    assert len(set(last)) == 1, "it computes the same from wherever it begins"
