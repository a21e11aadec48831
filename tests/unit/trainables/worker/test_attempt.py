"""Every end of a trial is a result with a record; nothing is raised into Ray, nothing is lost."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.configs import small_config
from tests.trial_process import computed
from trainables.code_hash import code_hash
from trainables.training import loop
from trainables.training.loop import Trainer
from trainables.worker import attempt
from trainables.worker.assignment import Assignment
from trainables.worker.attempt import Attempt
from trainables.worker.memory_limit import worker_memory


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


def test_what_a_finished_model_writes_is_kept(tmp_path: Path) -> None:
    samples = {"num_samples": 2, "prompt_tokens": 4, "num_tokens": 8}
    config = small_config(task={"samples": samples}).model_dump(mode="json")
    texts = []
    for folder in ("one", "other"):
        list(Attempt(assignment(tmp_path / folder, config=config)).events())
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
    failed = Attempt(assignment(tmp_path))
    last = list(failed.events())[-1]
    assert (last["outcome"], last["suspected"]) == (outcome, False)
    assert type(error).__name__ in last["message"]
    assert (failed.recycle_reason() != "") == (outcome == "oom")
    assert failed.error is error
    assert error.__traceback__ is None, "its frames hold the model"
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


@pytest.fixture
def base_mib() -> Iterator[float]:
    """Memory of this process as a worker sees it that starts now."""
    worker_memory.cache_clear()
    yield worker_memory("cpu", 1).base_mib
    worker_memory.cache_clear()


def test_the_cap_holds_while_the_trial_runs_and_no_longer(
    tmp_path: Path, base_mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_mib = int(base_mib) + 4096
    before, during = resource.getrlimit(resource.RLIMIT_DATA), set()
    original = Trainer._train_one_step

    def looks(trainer: Trainer) -> None:
        during.add(resource.getrlimit(resource.RLIMIT_DATA)[0])
        original(trainer)

    monkeypatch.setattr(Trainer, "_train_one_step", looks)
    capped = Attempt(assignment(tmp_path, memory_mib=memory_mib))
    events = list(capped.events())
    assert events[0]["cap_mib"] == memory_mib
    assert "cap_mib" not in events[0]["numerics"], "a cap moves no bit"
    assert [event["suspected"] for event in events[1:]] == [False] * 3
    assert events[-1]["outcome"] == "finished", events[-1]
    assert all(memory_mib * 2**20 < limit < (memory_mib + 2048) * 2**20 for limit in during), during
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert capped.recycle_reason() == ""

    uncapped = list(Attempt(assignment(tmp_path / "uncapped")).events())
    assert computed(events[1:]) == computed(uncapped[1:])

    abandoned = Attempt(assignment(tmp_path / "abandoned", memory_mib=memory_mib)).events()
    next(abandoned)
    del abandoned
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(("room_mib", "suspected"), [(8, True), (4096, False)])
def test_any_failure_near_the_cap_may_be_one_of_memory(
    room_mib: int, suspected: bool, tmp_path: Path, base_mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(trainer: Trainer) -> None:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(Trainer, "_train_one_step", fails)
    memory_mib = int(base_mib) + room_mib
    failed = Attempt(assignment(tmp_path, memory_mib=memory_mib))
    last = list(failed.events())[-1]
    assert (last["outcome"], last["suspected"]) == ("oom" if suspected else "crashed", suspected)
    assert "could not create a primitive" in last["message"]
    assert (f"may use {memory_mib} MiB and used " in last["message"]) is suspected
    assert ("maybe for lack of memory" in last["message"]) is suspected
    assert failed.recycle_reason() == ("its trial ran out of memory" if suspected else "")


def test_a_reservation_below_the_process_is_an_out_of_memory_with_numbers(tmp_path: Path, base_mib: float) -> None:
    (event,) = Attempt(assignment(tmp_path, memory_mib=int(base_mib) - 1)).events()
    assert (event["outcome"], event["suspected"]) == ("oom", False)
    assert f"this process alone holds {base_mib:.0f} MiB" in event["message"]
    assert "set resources.micro_batch_size lower" in event["message"]


def test_a_trial_that_leaves_memory_behind_costs_its_process(
    tmp_path: Path, base_mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[torch.Tensor] = []
    original = Trainer._train_one_step

    def leaks(trainer: Trainer) -> None:
        kept.append(torch.ones(8 * 2**20))
        original(trainer)

    monkeypatch.setattr(Trainer, "_train_one_step", leaks)
    leaky = Attempt(assignment(tmp_path, memory_mib=int(base_mib) + 4096))
    assert list(leaky.events())[-1]["outcome"] == "finished"
    assert leaky.recycle_reason().startswith("its trial left ")
    assert int(leaky.recycle_reason().split()[3]) == pytest.approx(12 * 32, abs=64)
    kept.clear()
    assert leaky.recycle_reason() == ""


def test_a_system_that_cannot_cap_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "is_enforced", lambda device: False)
    events = list(Attempt(assignment(tmp_path, memory_mib=100)).events())
    assert (events[0]["cap_mib"], events[-1]["outcome"]) == (None, "finished")
    assert "not capped: this system" in (tmp_path / "seed=0" / "log.txt").read_text(encoding="utf-8")
