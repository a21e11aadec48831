"""Which field is flipped next, without a journal: invalid and idle flips wait, and a dead end is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analysis.records.path import Flip, Walk
from search_spaces.space import InvalidPointError
from sweeps.search.winner.route import DeadEndError, Route, Try


def identify(point: dict[str, Any]) -> str:
    """Return a config_id: `sign` has no effect without `coupling`, and `dt` is forbidden without it."""
    if "dt" in point and "coupling" not in point:
        raise InvalidPointError("the steps would leap")
    return json.dumps({key: point[key] for key in sorted(point) if key != "sign" or "coupling" in point})


def go_on(walk: Walk, one: Try | Flip) -> None:
    """Tell a walk of a decision, as its event in the journal does."""
    fields = {"search": "s", "step": one.step, "field": one.field, "config_id": one.config_id}
    if isinstance(one, Flip):
        walk.apply({"event": "flipped", **fields, "loss": one.loss})
        return
    said = {"arm": "a", "point": one.point, "seeds": [] if one.is_alone else [0, 1], "parameters": {}}
    planned = {"num_parameters": 1, "predicted_memory_mib": 1.0, "data_hash": "d"}
    walk.apply({"event": "stepped", **fields, **said, **planned})


def walk_of(changed: dict[str, Any], losses: dict[str, float]) -> list[Try | Flip]:
    """Return the decisions of a whole path, in which a step's loss is that of the field it flips."""
    route, walk, found = Route(changed, identify(changed), identify), Walk(), list[Try | Flip]()
    by_id: dict[str, float] = {}
    while (one := route.next(walk, by_id.get)) is not None:
        found.append(one)
        go_on(walk, one)
        if isinstance(one, Try):
            by_id[one.config_id] = losses.get(one.field, 0.0)
    return found


def test_fields_that_are_invalid_or_idle_alone_come_after_what_they_need() -> None:
    decided = walk_of({"dt": 2, "sign": "−", "coupling": 1, "rate": 3}, {"dt": 0.1, "coupling": 0.2, "rate": 0.5})
    tried = [(one.step, one.field) for one in decided if isinstance(one, Try)]
    assert tried[:3] == [(0, ""), (1, "coupling"), (1, "rate")]
    assert tried[3:] == [(2, "dt"), (2, "sign"), (2, "rate"), (3, "dt"), (3, "rate"), (4, "rate")]
    flips = [(one.field, one.loss) for one in decided if isinstance(one, Flip)]
    assert flips == [("coupling", 0.2), ("sign", 0.0), ("dt", 0.1), ("rate", None)]


def test_all_but_the_last_step_are_tried_in_every_field_that_is_left() -> None:
    decided = walk_of(dict.fromkeys("abcd", 1), {"c": -1.0})
    assert sum(isinstance(one, Try) and one.step > 0 for one in decided) == 4 * 5 / 2
    assert next(one for one in decided if isinstance(one, Flip)).field == "c"


def test_a_step_waits_for_the_score_of_every_field() -> None:
    route, walk = Route({"a": 1, "b": 2}, identify({"a": 1, "b": 2}), identify), Walk()
    while (one := route.next(walk, lambda _: None)) is not None:
        assert isinstance(one, Try)
        go_on(walk, one)
    first, second = identify({"a": 1}), identify({"b": 2})
    assert route.next(walk, {first: 0.5}.get) is None
    flip = route.next(walk, {first: 0.5, second: 0.1}.get)
    assert isinstance(flip, Flip) and flip.field == "b"


def test_a_winner_that_is_where_the_path_begins_has_a_path_of_no_steps() -> None:
    assert [(one.step, one.field) for one in walk_of({}, {})] == [(0, "")]


def test_a_path_that_cannot_go_on_says_which_fields_and_why() -> None:
    route, walk = Route({"dt": 2}, "elsewhere", identify), Walk()
    begin = {"arm": "a", "step": 0, "field": "", "config_id": "{}", "point": {}, "seeds": [], "parameters": {}}
    walk.apply({"event": "stepped", **begin, "num_parameters": 1, "predicted_memory_mib": 1.0, "data_hash": "d"})
    with pytest.raises(DeadEndError, match=r"after 0 of 1 fields.*dt: the steps would leap"):
        route.next(walk, {}.get)
