"""The path to a winner: what each step was chosen by, and what it is worth on fresh seeds.

Scores on the seeds that chose the steps are too good. They never stand in one column with those on fresh seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from analysis.records.journal import JournalState
from analysis.records.path import PATH_SEEDS, Walk, Waypoint
from analysis.records.searching import SearchInfo
from analysis.results.arms import summarise
from analysis.results.comparison import Conclusion
from analysis.results.table import ContrastRow, ResultRow


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """A step of the path. Values that do not exist are None."""

    step: int
    """0: the arm's own settings."""
    arm: str
    """Its name in `results`; of the last step, the winner's."""
    config_id: str
    field: str
    """What was flipped; empty at step 0."""
    value: Any
    """The winner's, which it got; None at step 0."""
    n_tried: int
    """Fields among which it was chosen; 0 at step 0."""
    mean_search: float | None
    """Mean over the seeds that chose it: selected, so too good; None where there was nothing to choose from."""
    n: int
    """Fresh seeds."""
    mean: float | None
    """Over fresh seeds."""
    ci_low: float | None
    ci_high: float | None
    values: dict[str, float]
    """{fresh seed: value}."""
    delta: float | None
    """Change by the step, paired over fresh seeds; relative if `delta_kind` is."""
    delta_ci_low: float | None
    delta_ci_high: float | None
    p_adjusted: float | None
    """Holm-adjusted over the contrasts of the study, the steps among them."""
    reading: Conclusion | None


@dataclass(frozen=True, kw_only=True)
class PathTable:
    """The path from an arm's own settings to those that its search found."""

    study: str
    scale: str
    around: str
    selection_metric: str
    """By which steps were chosen."""
    metric: str
    """Of the values on fresh seeds."""
    unit: str
    direction: str
    delta_kind: str
    confidence: float
    seeds: tuple[int, ...]
    """That chose the steps."""
    confirm_seeds: tuple[int, ...]
    """Fresh ones."""
    is_walked: bool
    """Whether it has come to the winner."""
    rows: tuple[StepRow, ...]


def path_table(state: JournalState, info: SearchInfo, metric: str | None = None) -> PathTable:
    """Return the path of the newest sweep, as far as it is walked.

    Args:
        state: The journal.
        info: Its search, which has a path.
        metric: Of the values on fresh seeds; the study's primary metric if None.

    Raises:
        ValueError: If the study has no such metric.
    """
    found = summarise(state, metric)
    search = next(one.search for one in info.arms if one.arm == info.path)
    walk, winner = state.searches.walks.get(search, Walk()), state.searches.winners.get(search)
    is_walked = winner is not None and walk.has_come_to(winner.config_id)
    names = [one.arm for one in walk.steps]
    names[-1:] = [info.path] if is_walked else names[-1:]
    fresh = {row.arm: row for row in found.rows} if is_walked else {}
    changes = {(row.against, row.arm): row for row in found.contrasts}
    rows = [
        _row(one, name, walk, _selected(state, info, one), fresh.get(name), changes.get((before, name)))
        for one, before, name in zip(walk.steps, ["", *names], names, strict=False)
    ]
    return PathTable(
        study=found.study,
        scale=found.scale,
        around=info.path,
        selection_metric=info.metric,
        metric=found.metric,
        unit=found.unit,
        direction=found.direction,
        delta_kind=found.delta_kind,
        confidence=found.confidence,
        seeds=info.seeds[:PATH_SEEDS],
        confirm_seeds=info.confirm_seeds,
        is_walked=is_walked,
        rows=tuple(rows),
    )


def _selected(state: JournalState, info: SearchInfo, one: Waypoint) -> float | None:
    """Return the mean over the seeds that chose a step."""
    replicates = [state.replicates.get((one.config_id, seed)) for seed in one.seeds]
    scores = [r.final_metrics.get(info.metric) for r in replicates if r is not None and r.status == "finished"]
    known = [score for score in scores if score is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(one.seeds) else None


def _row(
    one: Waypoint,
    name: str,
    walk: Walk,
    mean_search: float | None,
    fresh: ResultRow | None,
    change: ContrastRow | None,
) -> StepRow:
    return StepRow(
        step=one.step,
        arm=name,
        config_id=one.config_id,
        field=one.field,
        value=one.point.get(one.field),
        n_tried=len(walk.tried(one.step)) if one.step else 0,
        mean_search=mean_search,
        n=fresh.n if fresh else 0,
        mean=fresh.mean if fresh else None,
        ci_low=fresh.ci_low if fresh else None,
        ci_high=fresh.ci_high if fresh else None,
        values={str(seed): value for seed, value in fresh.values.items()} if fresh else {},
        delta=change.delta if change else None,
        delta_ci_low=change.ci_low if change else None,
        delta_ci_high=change.ci_high if change else None,
        p_adjusted=change.p_adjusted if change else None,
        reading=change.reading if change else None,
    )
