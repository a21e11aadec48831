"""When a run stops because its replicates crash one after another in the same way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.run.crash_streak import MOST_EQUAL_CRASHES, CrashStreak

FULL = "OSError: no such folder: /scratch/job{number}/a0b1c2d3e4f5"


def crash(streak: CrashStreak, number: int, message: str = FULL) -> str | None:
    key = (f"config{number}", number)
    streak.begin(key)
    return streak.end(key, "crashed", message.format(number=number))


def test_what_differs_by_paths_and_numbers_only_is_one_cause() -> None:
    streak = CrashStreak(is_one_configuration=False)
    said = [crash(streak, number) for number in range(MOST_EQUAL_CRASHES)]
    assert said[:-1] == [None] * (MOST_EQUAL_CRASHES - 1)
    last = FULL.format(number=MOST_EQUAL_CRASHES - 1)
    assert said[-1] == f"5 replicates in a row crashed in the same way, the last one by: {last}"


@pytest.mark.parametrize("outcome", ["finished", "diverged", "oom", "timed_out", "preempted", "pruned"])
def test_any_other_end_shows_that_not_everything_crashes(outcome: str) -> None:
    streak = CrashStreak(is_one_configuration=False)
    for number in range(MOST_EQUAL_CRASHES - 1):
        assert crash(streak, number) is None
    streak.begin(("other", 0))
    assert streak.end(("other", 0), outcome, "") is None
    assert [crash(streak, number) for number in range(10, 10 + MOST_EQUAL_CRASHES - 1)] == [None] * 4
    assert crash(streak, 99) is not None


@given(st.lists(st.sampled_from(["KeyError: a", "KeyError: b"]), max_size=40))
def test_only_equal_crashes_count(messages: list[str]) -> None:
    streak = CrashStreak(is_one_configuration=False)
    for number, message in enumerate(messages):
        recent = messages[max(0, number - MOST_EQUAL_CRASHES + 1) : number + 1]
        expected = len(recent) == MOST_EQUAL_CRASHES and len(set(recent)) == 1
        assert (crash(streak, number, message) is not None) == expected


@pytest.mark.parametrize("is_one_configuration", [True, False])
def test_one_broken_configuration_among_others_is_a_result(is_one_configuration: bool) -> None:
    streak = CrashStreak(is_one_configuration=is_one_configuration)
    reasons = []
    for seed in range(8):
        streak.begin(("broken", seed))
        reasons.append(streak.end(("broken", seed), "crashed", "KeyError: 'a'"))
    assert any(reasons) == is_one_configuration


def test_what_began_before_and_still_runs_is_waited_for() -> None:
    streak = CrashStreak(is_one_configuration=False)
    streak.begin(("long", 0))
    assert [crash(streak, number) for number in range(8)] == [None] * 8
    assert streak.end(("long", 0), "crashed", FULL.format(number=8)) is not None
