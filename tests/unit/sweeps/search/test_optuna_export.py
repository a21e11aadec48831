"""A search in Optuna's terms: what its studies say is what the journal says, and fresh seeds are no values."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from analysis.records.journal import merge
from analysis.results.candidates import candidates_of
from search_spaces.dimensions import Choice, LogReal, Real
from search_spaces.space import SearchSpace
from sweeps.search.optuna_export import NOTE, storage_of
from tests.support.sweeps.journals import METRIC
from tests.support.sweeps.search_journal import SEARCH, born, search_events, several_objectives, trained

SPACE = SearchSpace({"architecture.coupling": Real(0.0, 4.0)})


def trials(events: list[dict[str, Any]], space: SearchSpace = SPACE) -> list[FrozenTrial]:
    state = merge(events)
    storage = storage_of(state, candidates_of(state), {"kuramoto": space}, "s@laptop")
    study = optuna.load_study(study_name="s@laptop kuramoto", storage=storage)
    assert study.user_attrs["note"] == NOTE
    return study.trials


def test_candidates_are_trials_with_their_scores_at_rungs() -> None:
    found = trials(search_events())
    assert [trial.number for trial in found] == [0, 1, 2]
    assert [trial.state for trial in found] == [TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL]
    assert [trial.params for trial in found] == [{"architecture.coupling": float(number)} for number in range(3)]
    assert found[1].intermediate_values == pytest.approx({0: 1.9, 1: 1.5, 2: 1.6})
    assert found[1].value == pytest.approx(1.6) and found[0].value is None
    assert found[1].datetime_start is not None and found[1].datetime_complete is not None
    assert found[1].datetime_complete >= found[1].datetime_start


def test_numbers_on_fresh_seeds_are_attributes_and_never_values() -> None:
    winner = trials(search_events())[1]
    assert winner.user_attrs["mean on fresh seeds"] == pytest.approx(2.1)
    assert all(value < 2 for value in [winner.value or 0.0, *winner.intermediate_values.values()])


def test_who_may_still_climb_is_running() -> None:
    going_on = [event for event in search_events() if event["event"] != "selected"]
    assert [trial.state for trial in trials(going_on)] == [TrialState.RUNNING, TrialState.COMPLETE, TrialState.FAIL]


def test_choices_stand_by_name_and_fields_without_effect_are_absent() -> None:
    space = SearchSpace(
        {"optimizer.learning_rate": LogReal(1e-4, 1.0), "architecture.sign": Choice(("attractive", None, (1, 2)))}
    )
    arms = [{"arm": "kuramoto", "search": "abc", "fields": list(space)}]
    events = [{**search_events()[0], "search": {**SEARCH, "arms": arms}}]
    for number, sign in enumerate(["attractive", None, [1, 2], ...]):
        point = {"optimizer.learning_rate": 0.01} | ({} if sign is ... else {"architecture.sign": sign})
        events += [{**born(number, f"{number:012d}"), "point": point}]
        events += trained(f"{number:012d}", 0, 100 + number, {10: 2.0}, "pruned")
    found = trials(events, space)
    assert [trial.params.get("architecture.sign", "absent") for trial in found] == [
        "attractive", None, "[1, 2]", "absent",
    ]  # fmt: skip
    assert found[0].distributions["optimizer.learning_rate"] == optuna.distributions.FloatDistribution(
        1e-4, 1.0, log=True
    )


def test_all_objectives_are_values() -> None:
    state = merge(several_objectives())
    space = SearchSpace({"architecture.coupling": Real(0.0, 4.0), "architecture.dt": Real(0.0, 1.0)})
    storage = storage_of(state, candidates_of(state), {"kuramoto": space}, "s@laptop")
    study = optuna.load_study(study_name="s@laptop kuramoto", storage=storage)
    assert [trial.values for trial in study.trials] == [
        [2.0, 100.0],
        [1.8, 200.0],
        [1.9, 250.0],
        [1.5, 400.0],
        None,
    ]
    assert sorted(trial.number for trial in study.best_trials) == [0, 1, 3], "Optuna's front is the journal's"
    assert study.metric_names == [f"{name} on the search's seeds" for name in (METRIC, "num_parameters")]


def test_optuna_itself_can_read_it() -> None:
    state = merge(search_events())
    storage = storage_of(state, candidates_of(state), {"kuramoto": SPACE}, "s@laptop")
    study = optuna.load_study(study_name="s@laptop kuramoto", storage=storage)
    assert study.best_trial.user_attrs["candidate"] == "kuramoto#1"
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
