"""Limits of a run, and why it ended."""

from __future__ import annotations

import math
import os
import signal
import time

import pytest

from sweeps.errors import UserError
from sweeps.run.limits import RunLimits


@pytest.mark.parametrize("hours", [0.0, -1.0, math.nan, math.inf])
def test_hours_are_positive_and_finite(hours: float) -> None:
    with pytest.raises(UserError, match=f"--max-hours must be a positive number of hours, got {hours:g}"):
        RunLimits(max_hours=hours)


@pytest.mark.parametrize("trials", [0, -3])
def test_at_least_one_trial(trials: int) -> None:
    with pytest.raises(UserError, match=f"--max-trials must be at least 1, got {trials}"):
        RunLimits(max_trials=trials)


def test_without_limits_it_never_ends_by_itself() -> None:
    limits = RunLimits()
    for _ in range(1000):
        limits.count_start()
    assert not limits.stop_requested and not limits.start_limit_reached
    assert limits.stop_reason is None


def test_after_its_hours_it_is_over() -> None:
    limits = RunLimits(max_hours=0.05 / 3600)
    assert not limits.stop_requested
    time.sleep(0.06)
    assert limits.stop_requested
    assert limits.stop_reason == "--max-hours 1.38889e-05 reached"


def test_after_its_trials_it_is_full_but_not_over() -> None:
    limits = RunLimits(max_trials=2)
    limits.count_start()
    assert not limits.start_limit_reached
    limits.count_start()
    assert limits.start_limit_reached and not limits.stop_requested
    assert limits.stop_reason == "--max-trials 2 reached"
    limits.stop("by somebody")
    assert limits.stop_requested
    limits.stop("by another")
    assert limits.stop_reason == "by somebody", "the first reason counts"


def test_a_failure_is_no_interruption() -> None:
    failed, stopped = RunLimits(), RunLimits()
    failed.fail("it broke")
    failed.stop("by somebody")
    assert (failed.stop_requested, failed.has_failed, failed.stop_reason) == (True, True, "it broke")
    stopped.stop("by somebody")
    stopped.fail("it broke while it stopped")
    assert (stopped.has_failed, stopped.stop_reason) == (False, "by somebody")


def test_the_first_signal_shuts_down_and_the_second_acts_as_always(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        limits = RunLimits()
        with limits.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            assert limits.stop_requested and limits.stop_reason == "by SIGTERM"
            assert seen == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == [signal.SIGTERM]
        assert "shutting down" in capfd.readouterr().err
        with RunLimits().interruptible():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [signal.SIGTERM, signal.SIGTERM], "afterwards the handlers are as before"
    finally:
        signal.signal(signal.SIGTERM, before)
