"""A search in Optuna's own terms, for tools that read its studies. What is changed there reaches no search.

Every searched arm is a study, every candidate a trial with its score at each rung as intermediate values. Only a
candidate with a score of all steps is complete: scores after fewer steps do not compare with those. Of several
objectives all are values, and there are no intermediate ones, which Optuna has of one value only. Numbers on fresh
seeds are attributes and never values, since values are what selected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from analysis.records.journal import JournalState
from analysis.records.searching import Objective
from analysis.results.candidates import ArmCandidates, CandidateRow
from search_spaces.dimensions import Choice, Dimension, freeze, identity
from search_spaces.space import SearchSpace
from sweeps.search.optuna_terms import distributions_of, quiet, told

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState

NOTE = "written from the journal, one way: changes here reach no search"


def storage_of(
    state: JournalState, searches: Sequence[ArmCandidates], spaces: Mapping[str, SearchSpace], experiment: str
) -> BaseStorage:
    """Return a storage in memory with a study for each searched arm, named `STUDY@SCALE ARM`.

    Args:
        state: The journal, for times.
        searches: What the searches of its newest sweep have found.
        spaces: What varies in each arm.
        experiment: `STUDY@SCALE`.
    """
    import optuna
    from optuna.storages import InMemoryStorage

    storage = InMemoryStorage()
    with quiet():
        for found in searches:
            objectives = _objectives(found)
            study = optuna.create_study(
                storage=storage,
                study_name=f"{experiment} {found.search.arm}",
                directions=["maximize" if one.direction == "maximise" else "minimize" for one in objectives],
            )
            study.set_metric_names([f"{one.name} on the search's seeds" for one in objectives])
            for name, value in _of_study(found).items():
                study.set_user_attr(name, value)
            space = spaces[found.search.arm]
            study.add_trials([_trial(state, found, row, space) for row in sorted(found.rows, key=_number)])
    return storage


def _objectives(found: ArmCandidates) -> tuple[Objective, ...]:
    return found.info.objectives or (Objective(name=found.info.metric, direction=found.info.direction),)


def _number(row: CandidateRow) -> int:
    return row.number


def _of_study(found: ArmCandidates) -> dict[str, Any]:
    rungs = [f"{index}: step {rung.steps}, seeds: {rung.seeds}" for index, rung in enumerate(found.info.rungs)]
    return {
        "note": NOTE,
        "rungs (steps of intermediate values)": rungs,
        "seeds of the search": list(found.info.seeds),
        "fresh seeds": list(found.confirm_seeds),
        "over": found.search.stopped_because or "not over",
    }


def _trial(state: JournalState, found: ArmCandidates, row: CandidateRow, space: SearchSpace) -> FrozenTrial:
    import optuna
    from optuna.trial import TrialState

    status = _state(row, found)
    distributions = {name: _distribution(space[name], other) for name, other in distributions_of(space).items()}
    scores = {rung: score.mean for rung, score in enumerate(row.scores) if score is not None}
    # optuna.create_trial dates a trial that ends by the present, so times are set afterwards.
    trial = optuna.create_trial(
        state=status,
        values=_values(row, scores) if status == TrialState.COMPLETE else None,
        params={name: _value(space, name, value) for name, value in row.point.items()},
        distributions={name: distributions[name] for name in row.point},
        user_attrs=_attributes(found, row),
        intermediate_values={} if row.objectives else scores,
    )
    trial.datetime_start, trial.datetime_complete = _times(state, found, row, has_ended=status.is_finished())
    return trial


def _values(row: CandidateRow, scores: Mapping[int, float]) -> list[float]:
    return list(row.objectives.values()) or [scores[max(scores)]]


def _state(row: CandidateRow, found: ArmCandidates) -> TrialState:
    from optuna.trial import TrialState

    if row.has_failed:
        return TrialState.FAIL
    is_whole = row.rung is not None and found.info.rungs[row.rung].steps == found.info.last_step
    if is_whole and len(row.objectives) == len(found.info.objectives):
        return TrialState.COMPLETE
    return TrialState.PRUNED if found.is_over else TrialState.RUNNING


def _attributes(found: ArmCandidates, row: CandidateRow) -> dict[str, Any]:
    known: dict[str, Any] = {
        "candidate": f"{found.search.arm}#{row.number}",
        "config_id": row.config_id,
        "stands": row.standing,
        "proposed by": row.by,
        "seeds": row.n_search,
    }
    if row.confirmed is not None:
        known["mean on fresh seeds"] = row.confirmed.mean
        known["interval on fresh seeds"] = [row.confirmed.ci_low, row.confirmed.ci_high]
    return known


def _distribution(dimension: Dimension, other: BaseDistribution) -> BaseDistribution:
    """Return a distribution in which choices stand by name."""
    from optuna.distributions import CategoricalDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution([_plain(option) for option in dimension.options])
    return other


def _value(space: SearchSpace, name: str, value: Any) -> Any:
    dimension = space[name]
    if not isinstance(dimension, Choice):
        return told(space, {name: value})[name]
    options = {identity(option): _plain(option) for option in dimension.options}
    return options[identity(freeze(value))]


def _plain(option: Any) -> Any:
    return json.dumps(option) if isinstance(option, tuple) else option


def _times(
    state: JournalState, found: ArmCandidates, row: CandidateRow, *, has_ended: bool
) -> tuple[datetime | None, datetime | None]:
    """Return when the first replicate of a candidate began, and when its last ended."""
    keys = [(row.config_id, seed) for seed in found.info.seeds]
    own = [state.replicates[key] for key in keys if key in state.replicates]
    started = min((r.started_at for r in own if r.started_at is not None), default=None)
    ended = max((r.ended_at for r in own if r.ended_at is not None), default=None)
    begun = None if started is None else datetime.fromtimestamp(min(started, ended or started))
    return begun, datetime.fromtimestamp(ended) if has_ended and ended is not None else None
