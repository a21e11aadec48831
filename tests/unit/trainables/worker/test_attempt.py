"""Every end of a trial is a result with a record; nothing is raised into Ray, nothing is lost."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.configs import small_config
from tests.disks import no_file_grows
from tests.trial_process import computed
from trainables.code_hash import code_hash
from trainables.tasks.base import TaskConfig
from trainables.training import loop
from trainables.training import numerics as training_numerics
from trainables.training.loop import Trainer
from trainables.worker import attempt, checkpointing
from trainables.worker.assignment import CONFIG_KEY, Assignment
from trainables.worker.attempt import Attempt
from trainables.worker.memory_limit import worker_memory
from trainables.worker.single_worker import ReplicateTrainable

TIMED = "train/tokens_per_second"


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
    """Cut after the first report with a checkpoint: the second attempt, on another CPU, ends with the same bits."""
    whole = list(Attempt(assignment(tmp_path / "whole")).events())[-1]
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    first = Attempt(assignment(tmp_path / "cut")).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    monkeypatch.setattr(training_numerics, "cpu_model", lambda: "another CPU")
    events = list(Attempt(assignment(tmp_path / "cut")).events())
    assert (events[0]["step"], events[0]["numerics"]["cpu"]) == (5, "another CPU")
    assert [event["step"] for event in events[1:]] == [10, 12]
    assert {**events[-1]["metrics"], TIMED: 0} == {**whole["metrics"], TIMED: 0}
    folder = tmp_path / "cut" / "seed=0"
    assert len((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert not (folder / "system.csv").exists()


@pytest.mark.parametrize("told_by", ["tune", "signal"])
def test_an_orderly_stop_between_two_reports_loses_nothing(
    told_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checkpoint is due, and the next report is far away: what was trained is saved when the stop comes."""
    config = small_config(budget={"report_every": 10}).model_dump(mode="json")
    whole = list(Attempt(assignment(tmp_path / "whole", config=config)).events())[-1]
    stopped = Attempt(assignment(tmp_path / "cut", config=config))
    original = Trainer._train_one_step

    def stops_in_the_midst(trainer: Trainer) -> None:
        original(trainer)
        if trainer.step == 7 and told_by == "signal":
            signal.raise_signal(signal.SIGTERM)
        elif trainer.step == 7:
            stopped.stop()
            raise Stopped

    def as_ray_does(number: int, frame: object) -> None:
        raise Stopped

    class Stopped(SystemExit):
        pass

    monkeypatch.setattr(Trainer, "_train_one_step", stops_in_the_midst)
    before = signal.signal(signal.SIGTERM, as_ray_does)
    try:
        if told_by == "signal":
            with pytest.raises(Stopped):
                list(stopped.events())
        else:
            list(stopped.events())
        assert signal.getsignal(signal.SIGTERM) is as_ray_does
    finally:
        signal.signal(signal.SIGTERM, before)
    monkeypatch.undo()
    assert not (tmp_path / "cut" / "seed=0" / "stacks.txt").exists()
    events = list(Attempt(assignment(tmp_path / "cut", config=config)).events())
    assert [event["step"] for event in events] == [7, 10, 12]
    assert {**events[-1]["metrics"], TIMED: 0} == {**whole["metrics"], TIMED: 0}


@pytest.mark.parametrize("is_reused", [False, True])
def test_tune_s_stop_saves_what_was_trained_since_the_last_checkpoint(is_reused: bool, tmp_path: Path) -> None:
    """Whether its process ends then, or another trial follows in it."""
    config = {CONFIG_KEY: assignment(tmp_path).to_json()}
    actor = ReplicateTrainable.__new__(ReplicateTrainable)  # without Tune's own __init__
    actor.setup(config)
    path = tmp_path / "seed=0" / "checkpoint" / "latest.pt"
    assert [actor.step()["done"], actor.step()["done"]] == [False, False]
    assert not path.exists(), "none is due in the first seconds"
    if is_reused:
        actor.reset_config({CONFIG_KEY: assignment(tmp_path / "next").to_json()})
    else:
        actor.cleanup()
    assert path.exists()
    events = list(Attempt(assignment(tmp_path)).events())
    assert [event["step"] for event in events] == [5, 10, 12]
    path.unlink()
    actor.setup(config)
    while not actor.step()["done"]:
        pass
    actor.cleanup()
    assert not path.exists(), "a replicate with its result needs no checkpoint"


def test_seconds_count_the_work_of_every_attempt_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    first = Attempt(assignment(tmp_path))
    first.started_at -= 1000.0
    first.started_cpu -= 500.0
    events = first.events()
    assert [next(events)["event"], next(events)["step"]] == ["started", 5]
    del first, events
    last = list(Attempt(assignment(tmp_path)).events())[-1]
    assert 1000.0 < last["seconds"] < 1100.0
    assert 500.0 < last["cpu_seconds"] < 600.0
    (tmp_path / "seed=0" / "checkpoint" / "latest.pt").unlink()
    assert list(Attempt(assignment(tmp_path)).events())[-1]["seconds"] < 100.0, "what was not kept does not count"


def test_a_plugin_that_ends_the_process_is_a_crash_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaves(trainer: Trainer) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(Trainer, "_train_one_step", leaves)
    last = list(Attempt(assignment(tmp_path)).events())[-1]
    assert (last["outcome"], last["message"]) == ("crashed", "SystemExit: 3")
    assert not (tmp_path / "seed=0" / "stacks.txt").exists()


def test_what_other_code_has_begun_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(Attempt(assignment(tmp_path / "whole")).events())[-1]
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
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


@pytest.mark.parametrize("damage", ["empty", "torn", "nul bytes", "a hole"])
def test_a_damaged_checkpoint_is_set_aside_and_training_starts_from_the_first_step(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a power loss leaves one behind: a crash would meet the same file at every later attempt."""
    whole = list(Attempt(assignment(tmp_path / "whole")).events())[-1]
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    first = Attempt(assignment(tmp_path / "cut")).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    path = tmp_path / "cut" / "seed=0" / "checkpoint" / "latest.pt"
    content = path.read_bytes()
    place = len(content) // 2
    hole = content[: place - 500] + bytes(1000) + content[place + 500 :]
    damaged = {"empty": b"", "torn": content[:place], "nul bytes": bytes(len(content)), "a hole": hole}[damage]
    path.write_bytes(damaged)
    events = list(Attempt(assignment(tmp_path / "cut")).events())
    assert [event["step"] for event in events] == [0, 5, 10, 12], events[-1]
    assert events[-1]["metrics"]["val/bits_per_byte"] == whole["metrics"]["val/bits_per_byte"]
    assert path.with_name("latest.pt.unreadable").read_bytes() == damaged
    log = (tmp_path / "cut" / "seed=0" / "log.txt").read_text(encoding="utf-8")
    assert "cannot be read" in log and "starting from the first step" in log and "set aside as" in log


def test_a_lack_of_memory_while_a_checkpoint_is_read_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    first = Attempt(assignment(tmp_path)).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "load", fails)
    last = list(Attempt(assignment(tmp_path)).events())[-1]
    assert last["outcome"] == "oom"
    assert (tmp_path / "seed=0" / "checkpoint" / "latest.pt").exists()


def test_the_checkpoint_outlives_the_worker_s_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver removes it once the result is in the journal; a driver killed before that still needs it."""
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    assert list(Attempt(assignment(tmp_path)).events())[-1]["outcome"] == "finished"
    assert (tmp_path / "seed=0" / "checkpoint" / "latest.pt").exists()


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_full_disk_is_no_fault_of_the_trial_which_continues(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it writes first then: a line of its log, a report, a checkpoint."""
    monkeypatch.setattr(checkpointing, "MIN_SECONDS", 0.0)
    whole = list(Attempt(assignment(tmp_path / "whole")).events())[-1]
    events = Attempt(assignment(tmp_path / "cut")).events()
    for _ in range(step):
        next(events)
    with no_file_grows():
        failed = next(events)
    assert (failed["outcome"], failed["disk_is_full"], failed["suspected"]) == ("preempted", True, False)
    assert failed["message"] == f"no space left on {tmp_path / 'cut' / 'seed=0'}"
    again = list(Attempt(assignment(tmp_path / "cut")).events())[-1]
    assert computed([again]) == computed([whole])


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
    first = Attempt(assignment(tmp_path)).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    path = tmp_path / "seed=0" / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 5, "tra\n' + bytes(64) + b"\n\xff{}")
    events = list(Attempt(assignment(tmp_path)).events())
    assert [event["step"] for event in events] == [5, 10, 12], events[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    assert (lines[0], len(lines)) == (whole, 3)
