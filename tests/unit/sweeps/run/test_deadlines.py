"""The driver's clock: when a trial counts as unresponsive, how long it may last, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.run.deadlines import MARGIN_SECONDS, REFRESH_EVERY_SECONDS, START_SECONDS, Deadlines, limit_seconds
from tests.support.models.configs import small_assignment
from trainables.worker.assignment import Assignment
from trainables.worker.watchdog import BEYOND_WATCHDOG_SECONDS

PATIENCE = 20.0


class Clock:
    """Time that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def assignments(tmp_path: Path) -> dict[str, Assignment]:
    alone = small_assignment(tmp_path, report_timeout_seconds=PATIENCE)
    pair = small_assignment(tmp_path, report_timeout_seconds=PATIENCE, workers=2)
    return {"alone": alone, "other": alone, "pair": pair}


def seconds_to_deadline(
    deadlines: Deadlines, clock: Clock, *at_work: str, most: float = 1000.0
) -> dict[str, float]:
    """Return after how many seconds without a report each trial misses its deadline, looking each second."""
    found: dict[str, float] = {}
    started = clock.now
    while clock.now - started < most:
        clock.now += REFRESH_EVERY_SECONDS
        for trial in deadlines.missed(at_work):
            assert trial not in found, "each is told once"
            found[trial] = clock.now - started
    return found


def test_the_worker_s_own_watchdog_comes_first_and_several_workers_have_time_to_start(
    clock: Clock, assignments: dict[str, Assignment]
) -> None:
    deadlines = Deadlines(assignments, clock)
    for trial in ("alone", "pair"):
        deadlines.started(trial)
    first = seconds_to_deadline(deadlines, clock, "alone", "pair")
    assert first["alone"] == pytest.approx(PATIENCE + MARGIN_SECONDS, abs=2 * REFRESH_EVERY_SECONDS)
    in_start = PATIENCE + MARGIN_SECONDS + BEYOND_WATCHDOG_SECONDS + START_SECONDS
    assert first["pair"] == pytest.approx(in_start, abs=2 * REFRESH_EVERY_SECONDS)
    deadlines.heard("pair")
    spoken = seconds_to_deadline(deadlines, clock, "pair")
    assert spoken["pair"] == pytest.approx(in_start - START_SECONDS, abs=2 * REFRESH_EVERY_SECONDS)
    assert limit_seconds(assignments["alone"], has_reported=True) > PATIENCE


def test_every_word_and_every_new_start_sets_the_clock_back(
    clock: Clock, assignments: dict[str, Assignment]
) -> None:
    deadlines = Deadlines(assignments, clock)
    deadlines.started("alone")
    for _ in range(5):
        assert not seconds_to_deadline(deadlines, clock, "alone", "other", most=PATIENCE)
        deadlines.heard("alone")
        deadlines.started("other")
    assert set(seconds_to_deadline(deadlines, clock, "alone")) == {"alone"}


def test_a_trial_without_a_process_is_not_unresponsive(clock: Clock, assignments: dict[str, Assignment]) -> None:
    """It waits in Tune's queue; a process that does not take it over is counted though it never starts."""
    deadlines = Deadlines(assignments, clock)
    assert not seconds_to_deadline(deadlines, clock)
    assert set(seconds_to_deadline(deadlines, clock, "alone")) == {"alone"}
    assert not seconds_to_deadline(deadlines, clock), "it has lost its process again"


def test_the_time_in_which_the_driver_was_stopped_counts_for_nobody(
    clock: Clock, assignments: dict[str, Assignment]
) -> None:
    deadlines = Deadlines(assignments, clock)
    deadlines.started("alone")
    clock.now += 3600
    assert deadlines.are_due
    assert deadlines.missed(["alone"]) == {}
    assert not deadlines.are_due


def told(deadlines: Deadlines, clock: Clock, trial: str) -> str:
    while not (missed := deadlines.missed([trial])):
        clock.now += REFRESH_EVERY_SECONDS
    return missed[trial]


def test_what_is_known_is_told(clock: Clock, assignments: dict[str, Assignment]) -> None:
    deadlines = Deadlines(assignments, clock)
    deadlines.heard("alone", "17 on box")
    deadlines.heard("alone")
    frozen = "process 17 on box was frozen; the driver ended it"
    assert told(deadlines, clock, "alone") == (
        f"unresponsive for 36 s, and no watchdog ended it after 20 s without a report: {frozen}"
    )
    never = told(deadlines, clock, "pair")
    assert never.endswith(": its 2 workers have not started; the driver ended it")
    deadlines.heard("pair", "18 on box")
    later = told(deadlines, clock, "pair")
    assert "one of its 2 workers (the first is process 18 on box) or what drives them was frozen" in later
