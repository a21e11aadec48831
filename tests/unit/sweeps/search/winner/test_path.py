"""The path to a winner: walked one field at a time by what two seeds of the search say, then run on fresh seeds."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from typing import Any

import pytest

from analysis.results.arms import summarise
from sweeps.plan.search.confirmation import Confirmation
from tests.support.sweeps.journals import sweep_event
from tests.support.sweeps.search_journal import waypoint
from tests.support.sweeps.searches import loss
from tests.support.sweeps.shared_search import INFO, Journal, proposer, run, train

SEARCH = replace(INFO, confirm_seeds=(2, 3, 4), path="a", arms=INFO.arms[:1])
ARMS = ("baseline", "a", "b")


def journal_of() -> Journal:
    """Return the journal of a driver that has described the study and done nothing."""
    journal = Journal()
    described = sweep_event(ARMS, seeds=SEARCH.confirm_seeds, config_ids={arm: arm for arm in ARMS})
    described |= {"search": asdict(SEARCH)}
    described["arms"][1]["seeds"] = []
    journal.write("sweep", **{k: v for k, v in described.items() if k not in {"time", "sweep_id", "event"}})
    return journal


def walked(cut: int = 0, drivers: int = 1, seed: int = 0) -> Journal:
    """Return the journal of a search and its path; its drivers were killed once, after so many starts."""
    journal = journal_of()
    for stop_after in (cut, 10_000):
        journal.read_again()
        at_work = [proposer(journal, 1, SEARCH) for _ in range(drivers)]
        run(journal, at_work, random.Random(seed), stop_after)
    left = at_work[0].withheld
    assert at_work[0].ask() is None and left.num_waiting == 0 and not left.blocked
    return journal


def said(journal: Journal, kind: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key != "time"} for one in journal.decisions(kind)]


def test_each_step_tries_what_is_left_and_flips_the_best() -> None:
    journal = walked()
    (selected,) = said(journal, "selected")
    flips, tried = said(journal, "flipped"), said(journal, "stepped")
    assert [one["step"] for one in flips] == list(range(1, len(flips) + 1)) and len(flips) >= 2
    assert flips[-1]["config_id"] == selected["config_id"], "the path ends at the winner"
    for flip in flips:
        options = {one["field"]: one["config_id"] for one in tried if one["step"] == flip["step"]}
        assert not set(options) & {one["field"] for one in flips[: flip["step"] - 1]}
        if flip["loss"] is None:
            assert len(options) == 1
            continue
        means = {name: (loss(config_id, 0, 40) + loss(config_id, 1, 40)) / 2 for name, config_id in options.items()}
        assert flip["field"] == min(means, key=lambda name: means[name])
        assert flip["loss"] == pytest.approx(means[flip["field"]])


def test_the_path_runs_on_fresh_seeds_beside_the_winner() -> None:
    journal = walked()
    path = [one for one in said(journal, "stepped") if one["step"] == 0]
    path += [
        next(
            one for one in said(journal, "stepped") if (one["step"], one["field"]) == (flip["step"], flip["field"])
        )
        for flip in said(journal, "flipped")
    ]
    table = summarise(journal.state)
    rows = {row.arm: row for row in table.rows}
    for one in path[:-1]:
        assert sorted(rows[one["arm"]].values) == [2, 3, 4], "no seed that chose a step"
    assert [(row.arm, row.against) for row in table.contrasts] == [
        (after, before["arm"])
        for before, after in zip(path, [*(one["arm"] for one in path[1:-1]), "a"], strict=False)
    ]
    assert all(row.delta is not None for row in table.contrasts)


def test_what_is_left_is_known_before_and_nothing_after() -> None:
    journal, confirmation = walked(), Confirmation(SEARCH, ("baseline",))
    assert confirmation.num_left_of_path(journal_of().state) == 3, "of one field, none has to be tried"
    assert confirmation.num_left_of_path(journal.state) == 0


def test_a_winner_that_is_the_arm_itself_leaves_nothing_to_run() -> None:
    journal = journal_of()
    found = {"arm": "a", "number": 0, "config_id": "own", "by": "the study", "point": {}, "parameters": {}}
    journal.write(
        "proposed", search="of a", **found, num_parameters=1, predicted_memory_mib=1.0, data_hash="d", rung=0
    )
    journal.write("selected", search="of a", config_id="own", loss=1.0, seeds=2, reason="the budget is spent")
    begin = {**waypoint(0, "", "own", {}), "search": "of a"}
    journal.write("stepped", **{key: begin[key] for key in begin.keys() - {"event", "time", "sweep_id"}})
    assert journal.state.searches.path_of(SEARCH) == []
    assert Confirmation(SEARCH, ()).num_left_of_path(journal.state) == 0


@pytest.mark.parametrize("cut", [0, 5, 12, 15, 18, 20, 23, 26, 30])
def test_a_killed_path_goes_on_with_the_same_steps(cut: int) -> None:
    whole, killed = walked(), walked(cut)
    for kind in ("stepped", "flipped"):
        assert said(whole, kind) == said(killed, kind)


@pytest.mark.parametrize("seed", range(3))
def test_two_drivers_try_nothing_twice(seed: int) -> None:
    journal = walked(drivers=2, seed=seed)
    for kind in ("stepped", "flipped"):
        names = [(one["step"], one["field"]) for one in said(journal, kind)]
        assert len(names) == len(set(names))
    started = [(e["config_id"], e["seed"], e["step"]) for e in journal.decisions("started")]
    assert len(started) == len(set(started))


def test_when_all_that_may_come_next_failed_the_path_says_so() -> None:
    journal = journal_of()
    driver = proposer(journal, 1, SEARCH)
    while (one := driver.ask()) is not None:
        is_tried = any(e["config_id"] == one.key[0] for e in journal.decisions("stepped"))
        train(one, journal, driver, fails=is_tried and one.key[1] in SEARCH.seeds)
    left = driver.withheld
    assert left.num_waiting == 0 and len(left.blocked) == 1 and not journal.decisions("flipped")
    assert "step 1 of the path: all that may come next failed" in left.blocked[0]
