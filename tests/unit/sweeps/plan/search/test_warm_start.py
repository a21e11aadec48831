"""What earlier searches tell a new one: their points that fit, with losses; nothing of a search that goes on."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from analysis.records.searching import SearchInfo
from search_spaces.dimensions import Real
from search_spaces.space import SearchSpace
from sweeps.errors import UserError
from sweeps.plan.search.warm_start import Told, told_by
from tests.support.sweeps.journals import write_journal
from tests.support.sweeps.search_journal import SEARCH, search_events

COUPLING = "architecture.coupling"
SPACE = SearchSpace({COUPLING: Real(0.0, 4.0)})


def told(
    folder: Path, events: list[dict[str, Any]], space: SearchSpace = SPACE, **changed: Any
) -> tuple[Told, ...]:
    write_journal(folder / "before" / "journal" / "a.jsonl", events)
    arm = changed.pop("arm", "kuramoto")
    settings = SimpleNamespace(warm_start=[changed.pop("name", "before")])
    search = SimpleNamespace(settings=settings, where=lambda *key: f"x.yaml:3: {'.'.join(map(str, key))}")
    study = cast(Any, SimpleNamespace(search=search, file=folder / "x.yaml"))
    return told_by(study, SearchInfo.from_mapping({**SEARCH, **changed}), arm, space)


def test_scores_of_the_highest_rung_and_failures_are_told(tmp_path: Path) -> None:
    found = told(tmp_path, search_events())
    assert [point[COUPLING] for point, _ in found] == [0.0, 1.0, 2.0]
    assert [loss for _, loss in found] == [2.0, pytest.approx(1.6), math.inf]


def test_points_outside_of_the_space_are_left_out(tmp_path: Path) -> None:
    found = told(tmp_path, search_events(), SearchSpace({COUPLING: Real(0.5, 1.5)}))
    assert [point[COUPLING] for point, _ in found] == [1.0]
    with pytest.raises(UserError, match=r"x.yaml:3: search.warm_start.0: no candidate of before is a point"):
        told(tmp_path, search_events(), SearchSpace({COUPLING: Real(3.0, 4.0)}))


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the search of before is not over"):
        told(tmp_path / "a", [event for event in search_events() if event["event"] != "selected"])
    with pytest.raises(UserError, match=r"chose by val/bits_per_char, and this search by val/accuracy"):
        told(tmp_path / "b", search_events(), metric="val/accuracy")
    with pytest.raises(UserError, match="no search of an arm 'other'; arms searched there: kuramoto"):
        told(tmp_path / "c", search_events(), arm="other")
    with pytest.raises(UserError, match="no results folder or compact journal 'nowhere'"):
        told(tmp_path / "d", search_events(), name="nowhere")
