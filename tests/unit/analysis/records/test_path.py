"""A path in the journal: each configuration is born once, and steps follow each other."""

from __future__ import annotations

from analysis.records.path import Walk
from tests.support.sweeps.search_journal import event, waypoint


def test_a_step_is_taken_once_and_in_turn() -> None:
    walk = Walk()
    assert walk.steps == [] and not walk.has_come_to("d")
    for one in (
        waypoint(0, "", "d", {}),
        waypoint(1, "x.a", "e", {"x.a": 1}, [0]),
        waypoint(1, "x.b", "f", {"x.b": 1}, [0]),
    ):
        walk.apply(one)
    walk.apply(waypoint(1, "x.a", "other", {"x.a": 1}))
    assert [one.config_id for one in walk.tried(1)] == ["e", "f"], "the first birth counts"
    flip = event("flipped", 9, search="abc", step=1, field="x.b", config_id="f", loss=1.0)
    for again in (flip, flip, {**flip, "step": 3}):
        walk.apply(again)
    assert [one.config_id for one in walk.steps] == ["d", "f"] and walk.has_come_to("f")
