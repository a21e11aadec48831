"""Looks at winners: fresh seeds start until every winner can be told from the baseline, or no look is left."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from typing import Any

import pytest

from analysis.records.searching import SearchInfo
from analysis.results.arms import summarise
from tests.support.sweeps.journals import sweep_event
from tests.support.sweeps.searches import loss
from tests.support.sweeps.shared_search import INFO, Journal, Score, proposer, run, train

LOOKS = replace(INFO, confirm_seeds=tuple(range(2, 12)), looks=(3, 6, 10), alphas=(0.01, 0.01, 0.03))
ARMS = ("baseline", "a", "b")


def journal_of(info: SearchInfo) -> Journal:
    """Return the journal of a driver that has described the study and done nothing."""
    journal = Journal()
    first = info.confirm_seeds[: info.looks[0] if info.looks else None]
    described = sweep_event(ARMS, seeds=first, config_ids={arm: arm for arm in ARMS})
    journal.write("sweep", **{k: v for k, v in described.items() if k not in {"time", "sweep_id", "event"}})
    journal.events[0]["search"] = asdict(info)
    for arm in journal.events[0]["arms"][1:]:
        arm["seeds"] = []
    journal.read_again()
    return journal


def better_by(effect: float) -> Score:
    """Return scores in which every candidate is better than the baseline on fresh seeds, by so many sd."""
    return lambda config_id, seed, step: (
        loss(config_id, seed, step) - effect * (config_id != "baseline" and seed > 1)
    )


def searched(info: SearchInfo, effect: float, *, cut: int = 0) -> Journal:
    """Return the journal of a search that was run to its end, killed once after so many starts."""
    journal = journal_of(info)
    run(journal, [proposer(journal, 1, info)], random.Random(0), cut, better_by(effect))
    journal.read_again()
    driver = proposer(journal, 1, info)
    run(journal, [driver], random.Random(0), score_of=better_by(effect))
    assert driver.ask() is None and driver.withheld.num_waiting == 0
    return journal


def seeds_of(journal: Journal) -> dict[str, list[int]]:
    """Return the fresh seeds with which winners and baseline were started."""
    winners = {event["config_id"] for event in journal.decisions("selected")}
    found: dict[str, list[int]] = {}
    for config_id, seed in journal.state.replicates:
        if config_id == "baseline" or (config_id in winners and seed > 1):
            found.setdefault(config_id, []).append(seed)
    return found


def looks_of(journal: Journal) -> list[dict[str, Any]]:
    """Return the looks without their times."""
    return [{k: v for k, v in event.items() if k != "time"} for event in journal.decisions("looked")]


def test_a_large_effect_needs_the_first_look_only() -> None:
    journal = searched(LOOKS, 30.0)
    assert [(look["seeds"], look["is_settled"]) for look in looks_of(journal)] == [(3, True)]
    assert len(seeds_of(journal)) == 3 and all(sorted(own) == [2, 3, 4] for own in seeds_of(journal).values())
    rows = summarise(journal.state).rows
    assert [row.reading for row in rows] == ["baseline", "better", "better"]
    assert "at a look that spends 20% of the level" in rows[1].note and "99.0% one" in rows[1].note


def test_no_effect_takes_every_look() -> None:
    journal = searched(LOOKS, 0.0)
    assert [look["seeds"] for look in looks_of(journal)] == [3, 6, 10]
    assert not any(look["is_settled"] for look in looks_of(journal))
    assert all(sorted(own) == list(range(2, 12)) for own in seeds_of(journal).values())
    assert all(row.reading != "better" for row in summarise(journal.state).rows)


def test_a_look_is_read_at_its_own_level() -> None:
    for effect in (1.5, 2.0, 2.5):
        journal = searched(LOOKS, effect)
        plain = {row.arm: row for row in summarise(journal_without_looks(journal)).rows}
        share = {3: 0.2, 6: 0.2, 10: 0.6}[looks_of(journal)[-1]["seeds"]]
        for row in summarise(journal.state).rows[1:]:
            p = plain[row.arm].p
            assert p is not None and row.p == pytest.approx(min(1.0, p / share))
            assert row.delta_ci_low is not None and row.delta_ci_high is not None and row.p is not None
            assert (row.delta_ci_low > 0 or row.delta_ci_high < 0) == (row.p < 0.05)


def journal_without_looks(journal: Journal) -> Any:
    """Return the same results as if all of these seeds had been planned from the start."""
    plain = Journal()
    seeds = sorted(next(iter(seeds_of(journal).values())))
    plain.events = [dict(event) for event in journal.events if event["event"] != "looked"]
    plain.events[0]["search"] = {
        **plain.events[0]["search"],
        "looks": [],
        "alphas": [],
        "confirm_seeds": seeds,
    }
    plain.events[0]["arms"] = [
        {**arm, "seeds": seeds if arm["arm"] == "baseline" else []} for arm in plain.events[0]["arms"]
    ]
    plain.read_again()
    return plain.state


@pytest.mark.parametrize("cut", [0, 5, 20, 40, 48, 55])
def test_a_killed_confirmation_goes_on_with_the_same_looks(cut: int) -> None:
    assert looks_of(searched(LOOKS, 1.2, cut=cut)) == looks_of(searched(LOOKS, 1.2))


def test_a_seed_that_fails_stops_the_looks() -> None:
    journal = journal_of(LOOKS)
    driver = proposer(journal, info=LOOKS)
    while (one := driver.ask()) is not None:
        train(one, journal, driver, fails=one.key == ("baseline", 3))
    assert looks_of(journal) == [] and driver.withheld.num_waiting == 0
    assert {seed for own in seeds_of(journal).values() for seed in own} == {2, 3, 4}


def test_finalists_are_arms_of_their_own_and_one_family() -> None:
    info = replace(INFO, arms=(replace(INFO.arms[0], finalists=3), INFO.arms[1]), confirm_seeds=tuple(range(2, 8)))
    journal = searched(info, 0.5)
    (selected,) = [event for event in journal.decisions("selected") if event["search"] == "of a"]
    rows = summarise(journal.state).rows
    of_a = [row for row in rows if row.arm.startswith("a")]
    assert [row.config_id for row in of_a] == [selected["config_id"], *selected["runners_up"][:2]]
    assert of_a[0].arm == "a" and all(row.arm.startswith("a#") for row in of_a[1:])
    assert all(sorted(row.values) == list(range(2, 8)) for row in rows)
    assert summarise(journal.state).family_size == 4
