"""What a search has found: its candidates by rank, its rungs, and the confirmed comparison of the winner.

Scores on the search's own seeds chose the winner, so they are too good. They never stand in one column with those
on fresh seeds, which `summarise` compares.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.records.candidates import Candidate
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.records.searching import SearchedArm, SearchInfo
from analysis.results.arms import summarise, transform_of
from analysis.results.table import ResultRow
from analysis.statistics.inference import mean, mean_interval

LOW_CORRELATION = 0.5
"""Below this rank correlation between rungs, what leads at the lower one says little about the higher one."""


@dataclass(frozen=True, kw_only=True)
class BestRow:
    """A candidate of a search. Values that do not exist are None."""

    rank: int
    """Among the candidates of its arm: the higher rung first, then the better mean there."""
    arm: str
    number: int
    config_id: str
    by: str
    """What proposed it."""
    point: dict[str, Any]
    """The fields that vary, with its values."""
    rung: int | None
    """The highest rung where it is scored; None before the first score."""
    steps: int | None
    """Optimiser steps at that rung."""
    n_search: int
    """Seeds of the search behind the mean."""
    mean_search: float | None
    """Mean over them: selected on these seeds, so too good for the best."""
    search_ci_low: float | None
    search_ci_high: float | None
    status: str
    """`winner`, `failed`, `training` or `stopped`: at a rung, where others are better."""


@dataclass(frozen=True, kw_only=True)
class RungRow:
    """One rung of the search of one arm."""

    arm: str
    rung: int
    steps: int
    seeds: int
    n_scored: int
    n_failed: int
    """Candidates of which a replicate failed at this rung; they are not among the scored ones."""
    rank_correlation: float | None
    """Spearman's, of its means with those at the next rung, over candidates that have both; None below three."""
    n_pairs: int


@dataclass(frozen=True, kw_only=True)
class SearchRow:
    """The search of one arm."""

    arm: str
    method: str
    fields: tuple[str, ...]
    n_candidates: int
    spent_replicates: float
    """What was trained, in replicates trained to the last step."""
    budget_replicates: float
    core_seconds: float
    """CPU time of the search's replicates; of those that have ended."""
    winner: str | None
    """config_id; None while the search goes on, or if everything failed."""
    stopped_because: str | None
    """None while the search goes on."""
    confirmed: ResultRow | None
    """The winner on fresh seeds, compared with the baseline; None before it has a score there."""


@dataclass(frozen=True, kw_only=True)
class BestTable:
    """The searches of a study."""

    study: str
    scale: str
    metric: str
    """By which candidates were chosen."""
    unit: str
    direction: str
    seeds: tuple[int, ...]
    """Of the search."""
    confirm_seeds: tuple[int, ...]
    """Fresh ones."""
    searches: tuple[SearchRow, ...]
    rungs: tuple[RungRow, ...]
    rows: tuple[BestRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the table as `best --json` prints it."""
        found = dataclasses.asdict(self)
        for search in found["searches"]:
            search["fields"] = list(search["fields"])
            if search["confirmed"] is not None:
                for key in ("values", "differences"):
                    search["confirmed"][key] = {str(seed): x for seed, x in search["confirmed"][key].items()}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def rung_scores(replicate: Replicate, info: SearchInfo) -> dict[int, float]:
    """Return {steps: score} of a replicate at the rungs that it has reached.

    Below the last step the subset of the validation split is scored, at it the whole split. A replicate that
    stopped improving, and so finished early, has its last scores at all later rungs.
    """
    steps = {rung.steps for rung in info.rungs} - {info.last_step}
    scores = {
        point.step: point.metrics[info.subset_metric]
        for point in replicate.reports
        if point.step in steps and info.subset_metric in point.metrics
    }
    final = replicate.final_metrics
    if replicate.status == "finished" and info.metric in final:
        scores[info.last_step] = final[info.metric]
        scores |= dict.fromkeys(steps - scores.keys(), final[info.subset_metric])
    return scores


def has_failed(replicate: Replicate) -> bool:
    """Return whether a replicate has ended for good without training all steps: then it has no more scores."""
    return replicate.has_ended and not replicate.is_pending and replicate.status not in {"pruned", "finished"}


def best_of(state: JournalState, info: SearchInfo) -> BestTable:
    """Return what the searches of the newest sweep have found.

    Args:
        state: The journal; its newest sweep has a search.
        info: That search.
    """
    sweep = state.sweep
    assert sweep is not None
    metric = sweep.metric(info.metric)
    confirmed = {row.arm: row for row in summarise(state).rows}
    searches, rungs, rows = [], [], []
    for searched in info.arms:
        found = _ArmSearch(state, info, searched)
        row = confirmed[searched.arm]
        searches.append(found.row(row if row.n else None))
        rungs += found.rungs()
        rows += found.rows()
    return BestTable(
        study=sweep.study,
        scale=sweep.scale,
        metric=info.metric,
        unit=metric.unit,
        direction=info.direction,
        seeds=info.seeds,
        confirm_seeds=info.confirm_seeds,
        searches=tuple(searches),
        rungs=tuple(rungs),
        rows=tuple(rows),
    )


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A candidate with a score at a rung."""

    by: str
    """What proposed it."""
    point: dict[str, Any]
    mean: float
    """Over the seeds of the rung."""
    values: tuple[float, ...]


def scored_at(state: JournalState, info: SearchInfo, searched: SearchedArm, rung: int) -> list[Scored]:
    """Return the candidates of the search of an arm that have a score at a rung, by number."""
    return _ArmSearch(state, info, searched).scored_at(rung)


SELECTION_PREFIX = "selection/"
"""Prefix of the name of a metric whose value chose a configuration, and so is too good."""


def selection_metrics(state: JournalState) -> dict[str, dict[str, float]]:
    """Return what the searches of the newest sweep know of each candidate, by config_id.

    The names say that these numbers selected: `selection/val/bits_per_char`, `selection/rung`, `selection/n_seeds`.
    """
    info = state.sweep.search if state.sweep else None
    found: dict[str, dict[str, float]] = {}
    for searched in info.arms if info else ():
        assert info is not None
        for row in _ArmSearch(state, info, searched).rows():
            if row.mean_search is not None and row.rung is not None:
                values = {info.metric: row.mean_search, "rung": float(row.rung), "n_seeds": float(row.n_search)}
                found[row.config_id] = {f"{SELECTION_PREFIX}{name}": value for name, value in values.items()}
    return found


class _ArmSearch:
    """The search of one arm, with the scores of its candidates at every rung."""

    def __init__(self, state: JournalState, info: SearchInfo, searched: SearchedArm) -> None:
        self._state, self._info, self._searched = state, info, searched
        self._candidates = state.searches.of(searched.search)
        self._winner = state.searches.winners.get(searched.search)
        self._transform = transform_of(state.sweep.metric(info.metric)) if state.sweep else None
        self._values = {one.config_id: self._scored(one) for one in self._candidates}
        """config_id → for each rung, the scores of its seeds; None where one is missing."""
        self._failed_at = {one.config_id: self._failure(one) for one in self._candidates}

    def _replicates(self, one: Candidate) -> list[Replicate]:
        keys = [(one.config_id, seed) for seed in self._info.seeds]
        return [self._state.replicates[key] for key in keys if key in self._state.replicates]

    def _scored(self, one: Candidate) -> list[list[float] | None]:
        scores = {each.seed: rung_scores(each, self._info) for each in self._replicates(one)}
        found: list[list[float] | None] = []
        for rung in self._info.rungs[: one.rung + 1]:
            values = [scores.get(seed, {}).get(rung.steps) for seed in self._info.seeds[: rung.seeds]]
            known = [value for value in values if value is not None]
            found.append(known if len(known) == len(values) else None)
        return found

    def _failure(self, one: Candidate) -> int | None:
        """Return the first rung for which a replicate of a candidate failed; None if none did."""
        if not any(map(has_failed, self._replicates(one))):
            return None
        values = self._values[one.config_id]
        return next((index for index, scores in enumerate(values) if scores is None), None)

    def _mean(self, config_id: str, rung: int) -> float | None:
        values = self._values[config_id]
        scores = values[rung] if rung < len(values) else None
        return math.fsum(scores) / len(scores) if scores else None

    def _deepest(self, config_id: str) -> int | None:
        values = self._values[config_id]
        return max((rung for rung, scores in enumerate(values) if scores), default=None)

    def scored_at(self, rung: int) -> list[Scored]:
        """Return the candidates that have a score at a rung."""
        found = []
        for one in self._candidates:
            values = self._values[one.config_id]
            scores = values[rung] if rung < len(values) else None
            if scores:
                mean = math.fsum(scores) / len(scores)
                found.append(Scored(by=one.by, point=one.point, mean=mean, values=tuple(scores)))
        return found

    def row(self, confirmed: ResultRow | None) -> SearchRow:
        """Return the search as a whole."""
        replicates = [each for one in self._candidates for each in self._replicates(one)]
        steps = sum(each.reports[-1].step for each in replicates if each.reports)
        winner = self._winner
        return SearchRow(
            arm=self._searched.arm,
            method=self._info.method,
            fields=self._searched.fields,
            n_candidates=len(self._candidates),
            spent_replicates=round(steps / self._info.last_step, 4),
            budget_replicates=self._info.replicates,
            core_seconds=round(sum(each.cpu_seconds or 0.0 for each in replicates), 3),
            winner=winner.config_id if winner else None,
            stopped_because=winner.reason if winner else None,
            confirmed=confirmed if winner and winner.config_id else None,
        )

    def rungs(self) -> list[RungRow]:
        """Return the rungs, the lowest first."""
        found = []
        for index, rung in enumerate(self._info.rungs):
            scored = [mean for one in self._candidates if (mean := self._mean(one.config_id, index)) is not None]
            both = [
                (self._mean(one.config_id, index), self._mean(one.config_id, index + 1)) for one in self._candidates
            ]
            pairs = [(below, above) for below, above in both if below is not None and above is not None]
            found.append(
                RungRow(
                    arm=self._searched.arm,
                    rung=index,
                    steps=rung.steps,
                    seeds=rung.seeds,
                    n_scored=len(scored),
                    n_failed=sum(at == index for at in self._failed_at.values()),
                    rank_correlation=spearman(pairs),
                    n_pairs=len(pairs),
                )
            )
        return found

    def rows(self) -> list[BestRow]:
        """Return the candidates, the best first."""
        sign = -1.0 if self._info.direction == "maximise" else 1.0

        def order(one: Candidate) -> tuple[bool, bool, int, float, int]:
            rung = self._deepest(one.config_id)
            is_winner = self._winner is not None and self._winner.config_id == one.config_id
            loss = math.inf if rung is None else sign * (self._mean(one.config_id, rung) or 0.0)
            has_lost = self._failed_at[one.config_id] is not None
            return not is_winner, has_lost, -1 if rung is None else -rung - 1, loss, one.number

        return [self._row(rank, one) for rank, one in enumerate(sorted(self._candidates, key=order), start=1)]

    def _row(self, rank: int, one: Candidate) -> BestRow:
        deepest = self._deepest(one.config_id)
        scores = [] if deepest is None else self._values[one.config_id][deepest] or []
        assert self._transform is not None
        interval = mean_interval(scores, scale=self._transform) if len(scores) > 1 else None
        return BestRow(
            rank=rank,
            arm=one.arm,
            number=one.number,
            config_id=one.config_id,
            by=one.by,
            point=one.point,
            rung=deepest,
            steps=None if deepest is None else self._info.rungs[deepest].steps,
            n_search=len(scores),
            mean_search=mean(scores, scale=self._transform) if scores else None,
            search_ci_low=interval.low if interval else None,
            search_ci_high=interval.high if interval else None,
            status=self._status(one),
        )

    def _status(self, one: Candidate) -> str:
        if self._winner is not None and self._winner.config_id == one.config_id:
            return "winner"
        if self._failed_at[one.config_id] is not None:
            return "failed"
        return "training" if self._values[one.config_id][-1] is None else "stopped"


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Spearman's rank correlation; None below three pairs, or if one side is all equal."""
    if len(pairs) < 3:
        return None
    middle = (len(pairs) - 1) / 2
    centred = [[rank - middle for rank in _ranks([pair[side] for pair in pairs])] for side in (0, 1)]
    spread = math.prod(math.fsum(x * x for x in side) for side in centred)
    if spread == 0:
        return None
    return math.fsum(a * b for a, b in zip(*centred, strict=True)) / math.sqrt(spread)


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 0; equal values share their mean rank."""
    ordered = sorted(values)
    return [(ordered.index(value) + len(ordered) - 1 - ordered[::-1].index(value)) / 2 for value in values]
