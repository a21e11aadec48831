"""Results of other code than is installed: counted from the journal, and named below the table."""

from __future__ import annotations

from typing import Any

from analysis.records.journal import merge
from analysis.report.tables import NUM_NAMED, render_text
from analysis.results.arms import summarise
from tests.support.sweeps.journals import config_id, journal_events

TWO = {"baseline": 2.5, "treatment": 2.4}


def of_code(event: dict[str, Any], code: str) -> dict[str, Any]:
    """Return an event; if it is the start of a replicate, one that says which code it is of."""
    return {**event, "numerics": {**event["numerics"], "code": code}} if event["event"] == "started" else event


def test_they_are_counted_by_arm_if_their_journal_says_which_code_it_was() -> None:
    events = journal_events({**TWO, "control": 2.6}, statuses={("treatment", 1): None})
    old, new = config_id("treatment"), config_id("baseline")
    codes = {(old, seed): "old" for seed in range(5)} | {(new, seed): "new" for seed in range(1, 5)}
    codes[new, 0] = "old"
    state = merge(
        [
            of_code(event, codes[key]) if (key := (event.get("config_id"), event.get("seed"))) in codes else event
            for event in events
        ]
    )
    table = summarise(state, code="new")
    assert {row.arm: row.n_other_code for row in table.rows} == {"baseline": 1, "treatment": 4, "control": 0}
    said = " ".join(render_text(table).split())
    assert "of other code than is installed here: baseline, treatment (5 replicates); `plan` says" in said
    assert "other code" not in render_text(summarise(state))
    assert [row.n_other_code for row in summarise(state).rows] == [0, 0, 0]


def test_many_arms_are_counted_and_all_of_them_are_said_in_two_words() -> None:
    events = [of_code(event, "old") for event in journal_events({f"arm_{n}": 2.5 for n in range(NUM_NAMED + 3)})]
    assert "all arms (40 replicates)" in render_text(summarise(merge(events), code="new"))
    last = config_id(f"arm_{NUM_NAMED + 2}")
    some = [of_code(event, "new") if event.get("config_id") == last else event for event in events]
    assert "arm_4 and 2 more (35 replicates)" in " ".join(render_text(summarise(merge(some), code="new")).split())


def test_a_replicate_of_which_other_code_computed_a_part_counts() -> None:
    events = [of_code(event, "new") for event in journal_events(TWO, seeds=range(2))]
    place = next(number for number, event in enumerate(events) if event["event"] == "started")
    before = {**of_code(events[place], "old"), "time": events[place]["time"] - 0.5}
    events[place] = {**events[place], "step": 10}
    table = summarise(merge([*events[:place], before, *events[place:]]), code="new")
    assert [row.n_other_code for row in table.rows] == [1, 0]
