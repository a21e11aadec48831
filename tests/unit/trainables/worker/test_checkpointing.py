"""Checkpoints come by time between any two steps, and cost no more than their share of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainables.training.parallel.ranks import Ranks
from trainables.worker import checkpointing
from trainables.worker.checkpointing import MAX_SECONDS, MIN_SECONDS, SHARE, Checkpoints, Spent


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
@pytest.mark.parametrize("step_seconds", [0.01, 1.0, 30.0])
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
