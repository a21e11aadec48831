"""What earlier searches have found, as a new one is told it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from analysis.records.description import JournalError
from analysis.records.journal import JournalState, read_journal
from analysis.records.searching import SearchInfo
from analysis.results.search_table import BestRow
from analysis.results.searches import best_of
from search_spaces.dimensions import freeze
from search_spaces.space import SearchSpace
from sweeps.errors import UserError
from sweeps.plan.search.corners import Point
from sweeps.studies.study import Study

Told = tuple[Point, float]
"""A point, and its loss: lower is better, infinite if it failed."""


def told_by(study: Study, info: SearchInfo, arm: str, space: SearchSpace) -> tuple[Told, ...]:
    """Return what the searches that a study names under `search.warm_start` have found for one arm.

    Args:
        study: It has a search.
        info: That search.
        arm: Searched there under the same name.
        space: Points outside of it are left out.

    Raises:
        UserError: If there is no such search, it is not over, it has another metric, or none of its points fits.
    """
    assert study.search is not None
    found: list[Told] = []
    for index, name in enumerate(study.search.settings.warm_start):
        where = study.search.where("search", "warm_start", index)
        rows = _candidates(study.file.parent / name, name, info, arm, where)
        sign = -1.0 if info.direction == "maximise" else 1.0
        points = [({field: freeze(value) for field, value in row.point.items()}, row) for row in rows]
        fitting = [(point, _loss(row, sign)) for point, row in points if not space.explain(point)]
        if not fitting:
            reasons = space.explain(points[0][0]) if points else ["there are none"]
            raise UserError(f"{where}: no candidate of {name} is a point of the space of arm '{arm}': {reasons[0]}")
        found += fitting
    return tuple(found)


def _candidates(path: Path, name: str, info: SearchInfo, arm: str, where: str) -> list[BestRow]:
    journal = path / "journal" if path.is_dir() else path
    if not journal.exists():
        raise UserError(f"{where}: no results folder or compact journal '{name}' (looked at {path})")
    try:
        state = read_journal(journal)
    except JournalError as error:
        raise UserError(f"{where}: {error}") from error
    other = state.sweep.search if state.sweep else None
    if other is None or arm not in {one.arm for one in other.arms}:
        searched = ", ".join(one.arm for one in other.arms) if other else "none"
        raise UserError(f"{where}: {name} has no search of an arm '{arm}'; arms searched there: {searched}")
    if (other.metric, other.direction) != (info.metric, info.direction):
        raise UserError(f"{where}: {name} chose by {other.metric}, and this search by {info.metric}")
    return list(_scored(state, other, arm, name, where))


def _scored(state: JournalState, other: SearchInfo, arm: str, name: str, where: str) -> Iterator[BestRow]:
    found = best_of(state, other)
    if any(search.arm == arm and search.stopped_because is None for search in found.searches):
        raise UserError(
            f"{where}: the search of {name} is not over, so that what it tells would change; end it first"
        )
    for row in sorted(found.rows, key=lambda row: row.number):
        if row.arm == arm and (row.status == "failed" or row.mean_search is not None):
            yield row


def _loss(row: BestRow, sign: float) -> float:
    return math.inf if row.status == "failed" or row.mean_search is None else sign * row.mean_search
