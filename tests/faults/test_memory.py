"""A trial that truly eats host memory fails alone, and the one beside it computes what it computes by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.machine.trial_process import computed, trial_process
from tests.support.models.configs import small_assignment, small_config
from trainables.worker.assignment import Assignment
from trainables.worker.memory_limit import SLACK_MIB

pytestmark = pytest.mark.slow

GREEDY_MAY_USE_MIB = 640
"""More than its process, and far less than its activations."""


def greedy(folder: Path, memory_mib: int | None) -> Assignment:
    """Return a trial that needs about 1 GiB, for activations."""
    config = small_config(
        architecture={"d_model": 64},
        task={"context_length": 128},
        optimizer={"warmup_steps": 0},
        budget={"steps": 1, "report_every": 1, "batch_size": 1024},
    )
    return small_assignment(folder, config=config.model_dump(mode="json"), memory_mib=memory_mib)


def good(folder: Path) -> Assignment:
    config = small_config(budget={"steps": 60, "report_every": 10})
    return small_assignment(folder, config=config.model_dump(mode="json"), memory_mib=1024)


def test_a_greedy_trial_fails_alone_and_its_neighbour_does_not_feel_it(tmp_path: Path) -> None:
    with trial_process() as solo:
        solo.begin(good(tmp_path / "solo"))
        alone = [solo.event(), *solo.rest()]
        assert solo.end() == ""
    with trial_process() as neighbour, trial_process() as eater:
        neighbour.begin(good(tmp_path / "neighbour"))
        events = [neighbour.event()]
        neighbour.go_on()
        events.append(neighbour.event())
        assert events[0]["cap_mib"] == 1024
        assert events[0]["numerics"] == alone[0]["numerics"]

        eater.begin(greedy(tmp_path / "greedy", GREEDY_MAY_USE_MIB))
        neighbour.go_on()
        started, last = eater.event(), eater.rest()[-1]
        assert started["cap_mib"] == GREEDY_MAY_USE_MIB
        assert (last["outcome"], last["suspected"]) == ("oom", False)
        assert f"may use {GREEDY_MAY_USE_MIB} MiB and used {last['peak_memory_mib']:.0f} MiB" in last["message"]
        assert last["peak_memory_mib"] < GREEDY_MAY_USE_MIB + SLACK_MIB + 16
        assert "can't allocate memory" in (tmp_path / "greedy/seed=0/log.txt").read_text(encoding="utf-8")
        assert eater.end() == "its trial ran out of memory"

        events.append(neighbour.event())
        events += neighbour.rest()
        assert neighbour.end() == ""
    assert [event.get("outcome") for event in events] == [None] * 6 + ["finished"]
    assert computed(events[1:]) == computed(alone[1:])


def test_without_a_cap_the_same_trial_takes_what_is_not_its_own(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    with trial_process() as eater:
        eater.begin(greedy(tmp_path, None))
        started, last = eater.event(), eater.rest()[-1]
        assert (started["cap_mib"], last["outcome"]) == (None, "finished")
        assert last["peak_memory_mib"] > 1.3 * (GREEDY_MAY_USE_MIB + SLACK_MIB)
        assert eater.end() == ""
