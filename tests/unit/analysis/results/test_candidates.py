"""The candidates of a search at every rung: their scores, where they stand, and what the search showed when."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.records.journal import merge
from analysis.results.candidates import CandidateRow, candidates_of, standings
from tests.support.sweeps.search_journal import SEARCH, search_events, trained

Events = list[dict[str, Any]]


def until(number: int) -> Events:
    """Return the journal as it was after so many seconds, so that the search still goes on."""
    first = search_events()[0]["time"]
    return [event for event in search_events() if event["event"] == "sweep" or event["time"] - first < number]


def rows(events: Events) -> dict[int, CandidateRow]:
    (found,) = candidates_of(merge(events))
    return {row.number: row for row in found.rows}


def test_each_has_its_means_at_the_rungs_that_it_reached() -> None:
    found = rows(search_events())
    means = {number: [score and round(score.mean, 6) for score in row.scores] for number, row in found.items()}
    assert means == {0: [2.0, None, None], 1: [1.9, 1.5, 1.6], 2: [None, None, None]}


def test_numbers_of_fresh_seeds_are_none_of_the_scores() -> None:
    winner = rows(search_events())[1]
    assert winner.confirmed is not None and winner.confirmed.mean == pytest.approx(2.1)
    assert all(value < 2.0 for score in winner.scores if score for value in score.values)
    assert all(row.confirmed is None for number, row in rows(search_events()).items() if number != 1)


@pytest.mark.parametrize(
    ("seconds", "standing"),
    [(1000, "dropped at rung 0"), (55, "waiting at rung 0"), (5, "climbing to rung 0")],
)
def test_who_may_still_climb_waits_and_is_not_dropped(seconds: int, standing: str) -> None:
    events = until(seconds)
    assert rows(events)[0].standing == standing
    assert standings(merge(events))["a" * 12] == standing


def test_what_became_of_the_others() -> None:
    found = rows(search_events())
    assert found[1].standing == "confirmed" and found[1].is_winner
    assert found[2].standing == "failed" and found[2].rung is None
    assert rows(until(65))[1].standing == "selected", "its fresh seeds are still to run"
    assert rows(until(45))[1].standing == "climbing to rung 2"


def test_the_budget_counts_what_was_trained_when_a_score_came() -> None:
    (found,) = candidates_of(merge(search_events()))
    assert [(point.seeds, point.score, point.leader) for point in found.spent] == [
        (1, 1.5, 1.5),
        (2, pytest.approx(1.6), pytest.approx(1.6)),
    ]
    assert [point.spent for point in found.spent] == [pytest.approx(1.25), pytest.approx(2.25)]
    assert found.spent[-1].spent == pytest.approx(found.search.spent_replicates)


def test_a_study_that_does_not_search_has_none() -> None:
    from tests.support.sweeps.journals import journal_events

    state = merge(journal_events({"baseline": 2.5, "kuramoto": 2.4}))
    assert candidates_of(state) == [] and standings(state) == {}


def test_a_finalist_has_numbers_of_its_own_on_fresh_seeds() -> None:
    events = search_events()
    arms = [{**SEARCH["arms"][0], "finalists": 2}]  # type: ignore[index]
    events[0] = {**events[0], "search": {**SEARCH, "arms": arms}}
    events = [one | {"runners_up": ["a" * 12]} if one["event"] == "selected" else one for one in events]
    assert rows(events)[0].standing == "finalist"
    events += [one for seed in (2, 3, 4) for one in trained("a" * 12, seed, 90, {40: 3.0 + seed / 10}, "finished")]
    finalist, winner = rows(events)[0], rows(events)[1]
    assert (finalist.standing, finalist.is_winner) == ("finalist, confirmed", False)
    assert finalist.confirmed is not None and finalist.confirmed.mean == pytest.approx(3.3)
    assert winner.confirmed is not None and winner.confirmed.mean == pytest.approx(2.1)
    assert [score and score.mean for score in finalist.scores] == [2.0, None, None]


def test_what_a_child_took_over_is_neither_its_cost_nor_its_score() -> None:
    """It began at step 10 from its parent's checkpoint: it has no score at the rung there, and cost 30 steps."""
    events = [{**event, "step": 10} if is_start_of_winner(event) else event for event in search_events()]
    events = [
        event for event in events if not (of_winner(event) and event["event"] == "report" and event["step"] == 10)
    ]
    (before,), (found,) = candidates_of(merge(search_events())), candidates_of(merge(events))
    assert found.search.spent_replicates == pytest.approx(before.search.spent_replicates - 10 / 40)
    assert found.spent[-1].spent == pytest.approx(found.search.spent_replicates)
    (winner,) = (row for row in found.rows if row.is_winner)
    assert [score is None for score in winner.scores] == [True, False, False]


def of_winner(event: dict[str, Any]) -> bool:
    return event.get("config_id") == "b" * 12 and event.get("seed") == 0


def is_start_of_winner(event: dict[str, Any]) -> bool:
    return of_winner(event) and event["event"] == "started"
