"""Importances: what fields explain, what they leave unexplained, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from analysis.records.journal import JournalState, read_journal
from search_spaces.dimensions import Choice, Real
from search_spaces.space import Condition, SearchSpace
from sweeps.cli.schemas.generate import load_schema
from sweeps.search.importance import ImportanceError, importance_of
from sweeps.search.optuna_importance import importances
from tests.support.sweeps.journals import sweep_event, write_journal
from tests.support.sweeps.search_journal import SEARCH, born, trained

SPACE = SearchSpace({"optimizer.a": Real(0.0, 1.0), "optimizer.b": Real(0.0, 1.0), "optimizer.c": Real(0.0, 1.0)})
Point = dict[str, Any]


def drawn(count: int, space: SearchSpace = SPACE) -> list[Point]:
    draw = random.Random(0)
    return [space.sample(draw) for _ in range(count)]


def linear(point: Point) -> float:
    """The variance of 3a + b is .9 of a, .1 of b, and nothing of c."""
    return 3 * point["optimizer.a"] + point["optimizer.b"]


def xor(point: Point) -> float:
    """What matters is whether a and b lie on the same side, and c a little."""
    return float((point["optimizer.a"] > 0.5) != (point["optimizer.b"] > 0.5)) + 0.1 * point["optimizer.c"]


@pytest.mark.slow
def test_shares_of_variance_are_those_of_the_truth() -> None:
    points = drawn(300)
    found = importances(SPACE, points, [linear(point) for point in points], "fanova", seed=0)
    assert list(found.values()) == pytest.approx([0.9, 0.1, 0.0], abs=0.03)


def test_the_best_tenth_tells_a_field_that_matters_from_one_that_does_not() -> None:
    points = drawn(60)
    found = importances(SPACE, points, [linear(point) for point in points], "ped_anova", seed=0)
    assert found["optimizer.a"] > 2 * found["optimizer.b"] and found["optimizer.a"] > 2 * found["optimizer.c"]
    assert sum(found.values()) == pytest.approx(1)


def state_of(folder: Path, points: list[Point], score: Callable[[Point], float], by: str = "sobol") -> JournalState:
    """Return a journal with a search that has scored these points at the first rung."""
    search = {**SEARCH, "arms": [{"arm": "kuramoto", "search": "abc", "fields": list(points[0])}]}
    described = sweep_event({"baseline": 2.5, "kuramoto": 2.5}, seeds=[2, 3, 4], search=search)
    described["arms"][1]["seeds"] = []
    events = [described]
    for number, point in enumerate(points):
        name = f"{number:012d}"
        events.append({**born(number, name), "point": point, "by": by if number % 3 else "tpe"})
        events += trained(name, 0, 1000 + 10 * number, {10: score(point)}, "pruned")
    write_journal(folder / "journal.jsonl", events)
    return read_journal(folder / "journal.jsonl")


def table_of(state: JournalState, space: SearchSpace = SPACE, **settings: Any) -> Any:
    assert state.sweep is not None and state.sweep.search is not None
    return importance_of(state, state.sweep.search, {"kuramoto": space}, **{"evaluator": "fanova", **settings})


@pytest.mark.slow
def test_what_fields_explain_is_printed_with_intervals(tmp_path: Path) -> None:
    table = table_of(state_of(tmp_path, drawn(42), linear))
    (arm,) = table.arms
    jsonschema.Draft202012Validator(load_schema("importance")).validate(json.loads(json.dumps(asdict(table))))
    assert [field.name for field in arm.fields] == ["optimizer.a", "optimizer.b", "optimizer.c"]
    assert (arm.steps, arm.seeds, arm.n_configurations, arm.n_adaptive) == (10, 1, 42, 14)
    first = arm.fields[0]
    assert first.ci_low < first.share <= first.ci_high and first.share > 0.8
    assert arm.explained + arm.unexplained == pytest.approx(1.0) and not arm.warning
    assert arm.noise_share is None, "one seed says nothing of noise"


@pytest.mark.slow
def test_fields_that_matter_together_only_raise_the_alarm(tmp_path: Path) -> None:
    """Normalised, the field that hardly matters would come first."""
    (arm,) = table_of(state_of(tmp_path, drawn(60), xor)).arms
    assert arm.unexplained > 0.5 and "interactions or noise" in arm.warning


def test_candidates_of_a_model_can_be_left_out(tmp_path: Path) -> None:
    table = table_of(state_of(tmp_path, drawn(60), linear), only_space_filling=True, evaluator="ped_anova")
    jsonschema.Draft202012Validator(load_schema("importance")).validate(json.loads(json.dumps(asdict(table))))
    (arm,) = table.arms
    assert (arm.n_configurations, arm.n_adaptive) == (40, 0)
    assert arm.explained is None and sum(field.share for field in arm.fields) == pytest.approx(1.0)


def test_what_cannot_be_had_is_refused(tmp_path: Path) -> None:
    few = state_of(tmp_path, drawn(19), linear)
    with pytest.raises(ImportanceError, match="19 candidates with a score at rung 0"):
        table_of(few)
    with pytest.raises(ImportanceError, match="no rung 7; the last is 2"):
        table_of(few, rung=7)
    outside = state_of(tmp_path, [{**point, "optimizer.c": 2.0} for point in drawn(20)], linear)
    with pytest.raises(ImportanceError, match="the space has changed"):
        table_of(outside)
    with pytest.raises(ImportanceError, match="score the same"):
        table_of(state_of(tmp_path, drawn(20), lambda point: 1.0))


def test_fields_with_an_effect_only_sometimes_are_for_ped_anova(tmp_path: Path) -> None:
    space = SearchSpace(
        {**SPACE.dimensions, "optimizer.d": Choice((1, 2))}, (Condition("optimizer.d", "optimizer.a > 0.5"),)
    )
    state = state_of(tmp_path, drawn(60, space), linear)
    with pytest.raises(ImportanceError, match=r"optimizer.d has no effect in some candidates.*ped_anova"):
        table_of(state, space)
    (arm,) = table_of(state, space, evaluator="ped_anova").arms
    assert {field.name for field in arm.fields} == set(space)
