"""Checkpoints come by time between any two steps, cost no more than their share of it, and are continued from."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.models.configs import small_assignment, small_config
from trainables.code_hash import code_hash
from trainables.training import loop
from trainables.training import numerics as training_numerics
from trainables.training.loop import Trainer
from trainables.training.parallel.ranks import Ranks
from trainables.worker import checkpointing
from trainables.worker.assignment import CONFIG_KEY
from trainables.worker.attempt import Attempt
from trainables.worker.checkpointing import MAX_SECONDS, MIN_SECONDS, SHARE, Checkpoints, Spent
from trainables.worker.single_worker import ReplicateTrainable

TIMED = "train/tokens_per_second"


class Clock:
    """A clock that a test sets, in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Training:
    """Takes as long for a step and for a checkpoint as a test says."""

    def __init__(self, clock: Clock, *, step_seconds: float, save_seconds: float) -> None:
        self.clock, self.step_seconds, self.save_seconds = clock, step_seconds, save_seconds
        self.step = 0
        self.saved: list[int] = []

    def save(self, path: Path, spent: dict[str, float]) -> None:
        assert spent == {"seconds": 1.0, "cpu_seconds": 2.0}
        self.clock.now += self.save_seconds
        self.saved.append(self.step)

    def train(self, checkpoints: Checkpoints, steps: int) -> None:
        trainer: Any = self
        for _ in range(steps):
            self.clock.now += self.step_seconds
            self.step += 1
            checkpoints.between_steps(trainer)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(checkpointing, "time", clock)
    return clock


class AgreedRanks(Ranks):
    """Two ranks of which this is the first; counts how often they ask each other."""

    asked = 0

    def first(self, value: Any) -> Any:
        AgreedRanks.asked += 1
        return value


def checkpoints(ranks: Ranks) -> Checkpoints:
    found = Checkpoints(Path("latest.pt"), ranks, lambda: Spent(1.0, 2.0))
    found.started(0)
    return found


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("step_seconds", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("save_seconds", [0.001, 0.3, 2.0, 30.0])
def test_they_take_their_share_of_the_time_at_most_and_a_crash_loses_no_more_than_an_interval(
    clock: Clock, size: int, step_seconds: float, save_seconds: float
) -> None:
    training = Training(clock, step_seconds=step_seconds, save_seconds=save_seconds)
    begins = clock.now
    training.train(checkpoints(AgreedRanks(0, size) if size > 1 else Ranks()), int(20_000 / step_seconds))
    after_the_first = clock.now - begins - MIN_SECONDS - save_seconds
    cost = save_seconds * (len(training.saved) - 1)
    assert cost <= SHARE * after_the_first + save_seconds
    gaps = [(b - a) * step_seconds for a, b in zip([0, *training.saved], training.saved, strict=False)]
    expected = min(MAX_SECONDS, max(MIN_SECONDS, save_seconds / SHARE))
    assert gaps[0] <= MIN_SECONDS + 2 * step_seconds
    assert all(MIN_SECONDS - 1e-6 <= gap <= expected + 2 * step_seconds + save_seconds for gap in gaps), gaps


def test_ranks_ask_each_other_far_less_than_once_a_step(clock: Clock) -> None:
    AgreedRanks.asked = 0
    training = Training(clock, step_seconds=0.01, save_seconds=0.1)
    training.train(checkpoints(AgreedRanks(0, 2)), 20_000)
    assert len(training.saved) >= 8
    assert AgreedRanks.asked < 100


def test_a_step_that_is_saved_is_not_saved_again(clock: Clock) -> None:
    training: Any = Training(clock, step_seconds=30.0, save_seconds=0.1)
    found = checkpoints(Ranks())
    found.save(training)
    assert training.saved == [], "nothing is trained yet"
    training.train(found, 1)
    found.save(training)
    assert training.saved == [1]


# --- what is continued, and what is not ---


def last_of(folder: Path, **assigned: Any) -> dict[str, Any]:
    """Return the last event of an attempt."""
    return list(Attempt(small_assignment(folder, **assigned)).events())[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last event of a replicate that nothing interrupts."""
    return last_of(tmp_path_factory.mktemp("whole"))


def test_an_attempt_continues_where_the_last_one_stopped(
    whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut after the first report with a checkpoint: the second attempt, on another CPU, ends with the same bits."""
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    first = Attempt(small_assignment(tmp_path / "cut")).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    monkeypatch.setattr(training_numerics, "cpu_model", lambda: "another CPU")
    events = list(Attempt(small_assignment(tmp_path / "cut")).events())
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
    whole = last_of(tmp_path / "whole", config=config)
    stopped = Attempt(small_assignment(tmp_path / "cut", config=config))
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
    events = list(Attempt(small_assignment(tmp_path / "cut", config=config)).events())
    assert [event["step"] for event in events] == [7, 10, 12]
    assert {**events[-1]["metrics"], TIMED: 0} == {**whole["metrics"], TIMED: 0}


@pytest.mark.parametrize("is_reused", [False, True])
def test_tune_s_stop_saves_what_was_trained_since_the_last_checkpoint(is_reused: bool, tmp_path: Path) -> None:
    """Whether its process ends then, or another trial follows in it."""
    config = {CONFIG_KEY: small_assignment(tmp_path).to_json()}
    actor = ReplicateTrainable.__new__(ReplicateTrainable)  # without Tune's own __init__
    actor.setup(config)
    path = tmp_path / "seed=0" / "checkpoint" / "latest.pt"
    assert [actor.step()["done"], actor.step()["done"]] == [False, False]
    assert not path.exists(), "none is due in the first seconds"
    if is_reused:
        actor.reset_config({CONFIG_KEY: small_assignment(tmp_path / "next").to_json()})
    else:
        actor.cleanup()
    assert path.exists()
    events = list(Attempt(small_assignment(tmp_path)).events())
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
    first = Attempt(small_assignment(tmp_path))
    first.started_at -= 1000.0
    first.started_cpu -= 500.0
    events = first.events()
    assert [next(events)["event"], next(events)["step"]] == ["started", 5]
    del first, events
    last = last_of(tmp_path)
    assert 1000.0 < last["seconds"] < 1100.0
    assert 500.0 < last["cpu_seconds"] < 600.0
    (tmp_path / "seed=0" / "checkpoint" / "latest.pt").unlink()
    last = last_of(tmp_path)
    assert last["seconds"] < 100.0, "what was not kept does not count"


def test_what_other_code_has_begun_starts_anew(
    whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    monkeypatch.setattr(loop, "code_hash", lambda: "0123456789ab")
    first = Attempt(small_assignment(tmp_path / "cut")).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    monkeypatch.undo()
    events = list(Attempt(small_assignment(tmp_path / "cut")).events())
    assert [event["step"] for event in events] == [0, 5, 10, 12]
    assert events[-1]["metrics"]["val/bits_per_byte"] == whole["metrics"]["val/bits_per_byte"]
    log = (tmp_path / "cut" / "seed=0" / "log.txt").read_text(encoding="utf-8")
    assert f"was computed by code 0123456789ab, this is {code_hash()}: starting from the first step" in log


@pytest.mark.parametrize("damage", ["empty", "torn", "nul bytes", "a hole"])
def test_a_damaged_checkpoint_is_set_aside_and_training_starts_from_the_first_step(
    damage: str, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a power loss leaves one behind: a crash would meet the same file at every later attempt."""
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    first = Attempt(small_assignment(tmp_path / "cut")).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first
    path = tmp_path / "cut" / "seed=0" / "checkpoint" / "latest.pt"
    content = path.read_bytes()
    place = len(content) // 2
    hole = content[: place - 500] + bytes(1000) + content[place + 500 :]
    damaged = {"empty": b"", "torn": content[:place], "nul bytes": bytes(len(content)), "a hole": hole}[damage]
    path.write_bytes(damaged)
    events = list(Attempt(small_assignment(tmp_path / "cut")).events())
    assert [event["step"] for event in events] == [0, 5, 10, 12], events[-1]
    assert events[-1]["metrics"]["val/bits_per_byte"] == whole["metrics"]["val/bits_per_byte"]
    assert path.with_name("latest.pt.unreadable").read_bytes() == damaged
    log = (tmp_path / "cut" / "seed=0" / "log.txt").read_text(encoding="utf-8")
    assert "cannot be read" in log and "starting from the first step" in log and "set aside as" in log


def test_a_lack_of_memory_while_a_checkpoint_is_read_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    first = Attempt(small_assignment(tmp_path)).events()
    assert [next(first)["event"], next(first)["step"]] == ["started", 5]
    del first

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "load", fails)
    last = last_of(tmp_path)
    assert last["outcome"] == "oom"
    assert (tmp_path / "seed=0" / "checkpoint" / "latest.pt").exists()


def test_the_checkpoint_outlives_the_worker_s_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver removes it once the result is in the journal; a driver killed before that still needs it."""
    monkeypatch.setattr(checkpointing, "MAX_SECONDS", 0.0)
    assert last_of(tmp_path)["outcome"] == "finished"
    assert (tmp_path / "seed=0" / "checkpoint" / "latest.pt").exists()
