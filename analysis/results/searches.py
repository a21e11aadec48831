"""What a search has found: its candidates by rank, its rungs, and the confirmed comparison of the winner.

Scores on the search's own seeds chose the winner, so they are too good. They never stand in one column with those
on fresh seeds, which `summarise` compares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from analysis.records.candidates import Candidate
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.records.searching import NUM_PARAMETERS, SearchedArm, SearchInfo
from analysis.results.arms import summarise, transform_of
from analysis.results.search.expected_best import ExpectedBest, FirstScore, expected_best
from analysis.results.search_table import BestRow, BestTable, LookRow, RungRow, SearchRow
from analysis.results.table import ResultRow
from analysis.statistics.inference import mean, mean_interval
from analysis.statistics.pareto import front
from analysis.statistics.ranks import spearman

LOW_CORRELATION = 0.5
"""Below this rank correlation between rungs, what leads at the lower one says little about the higher one."""


def rung_scores(replicate: Replicate, info: SearchInfo) -> dict[int, float]:
    """Return {steps: score} of a replicate at the rungs that it has reached.

    Below the last step the subset of the validation split is scored, at it the whole split. A replicate that
    stopped improving, and so finished early, has its last scores at all later rungs. One that continued from
    another's checkpoint has none before it.
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
        last = replicate.reports[-1].step
        scores |= {step: final[info.subset_metric] for step in steps if step > last}
    return scores


def objective_values(replicate: Replicate, info: SearchInfo, num_parameters: int) -> dict[str, float]:
    """Return {objective: value} of a replicate; empty before its end, and in a search with one objective."""
    known = {**replicate.final_metrics, NUM_PARAMETERS: float(num_parameters)}
    names = [one.name for one in info.objectives]
    is_scored = replicate.status == "finished" and all(name in known for name in names)
    return {name: known[name] for name in names} if is_scored else {}


def objective_losses(info: SearchInfo, values: dict[str, float]) -> tuple[float, ...]:
    """Return the values of objectives such that lower is better; empty if there are none."""
    return tuple(
        -values[one.name] if one.direction == "maximise" else values[one.name]
        for one in info.objectives
        if one.name in values
    )


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
        names = [one.name for one in found.others]
        searches.append(found.row(row if row.n else None, tuple(confirmed[name] for name in names)))
        rungs += found.rungs()
        rows += found.rows()
    return BestTable(
        study=sweep.study,
        scale=sweep.scale,
        metric=info.metric,
        unit=metric.unit,
        direction=info.direction,
        seeds=info.seeds,
        confirm_seeds=state.searches.fresh_seeds(info),
        looks=_looks(state, info),
        searches=tuple(searches),
        rungs=tuple(rungs),
        rows=tuple(rows),
    )


def _looks(state: JournalState, info: SearchInfo) -> tuple[LookRow, ...]:
    taken = {look.seeds: look for look in state.searches.looks.get(info.confirmation, [])}
    return tuple(
        LookRow(
            seeds=seeds,
            alpha=alpha,
            is_settled=taken[seeds].is_settled if seeds in taken else None,
            p=taken[seeds].p if seeds in taken else {},
        )
        for seeds, alpha in zip(info.looks, info.alphas, strict=True)
    )


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A candidate with a score at a rung."""

    number: int
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
        finalists = self._winner.finalists(searched.finalists) if self._winner else ()
        by_id = {one.config_id: one for one in self._candidates}
        self.others = [by_id[each] for each in finalists[1:]]
        """Finalists beside the winner."""
        self._objectives = {one.config_id: self._means_of_objectives(one) for one in self._candidates}
        known = {config_id: means for config_id, means in self._objectives.items() if means}
        best = front([objective_losses(info, means) for means in known.values()])
        self._front = {list(known)[place] for place in best}
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

    def _means_of_objectives(self, one: Candidate) -> dict[str, float]:
        """Return {objective: mean over the seeds of the search}; empty unless all are scored."""
        replicates = self._replicates(one)
        each = [objective_values(replicate, self._info, one.num_parameters) for replicate in replicates]
        if len(each) < self._info.rungs[-1].seeds or not all(each):
            return {}
        return {name: math.fsum(values[name] for values in each) / len(each) for name in each[0]}

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
                found.append(Scored(number=one.number, by=one.by, point=one.point, mean=mean, values=tuple(scores)))
        return found

    def row(self, confirmed: ResultRow | None, finalists: tuple[ResultRow, ...]) -> SearchRow:
        """Return the search as a whole."""
        replicates = [each for one in self._candidates for each in self._replicates(one)]
        steps = sum(each.num_steps() for each in replicates)
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
            finalists=finalists,
            expected_best=self._expected_best(),
        )

    def _expected_best(self) -> ExpectedBest:
        first = self._info.rungs[0]
        scores = [
            FirstScore(
                by=one.by, score=self._mean(one.config_id, 0), has_failed=self._failed_at[one.config_id] == 0
            )
            for one in self._candidates
        ]
        return expected_best(
            scores,
            steps=first.steps,
            seeds=first.seeds,
            direction=self._info.direction,
            num_objectives=max(1, len(self._info.objectives)),
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
                    rank_correlation=spearman([below for below, _ in pairs], [above for _, above in pairs]),
                    n_pairs=len(pairs),
                )
            )
        return found

    def rows(self) -> list[BestRow]:
        """Return the candidates, the best first."""
        sign = -1.0 if self._info.direction == "maximise" else 1.0

        def order(one: Candidate) -> tuple[bool, bool, bool, int, float, int]:
            rung = self._deepest(one.config_id)
            is_winner = self._winner is not None and self._winner.config_id == one.config_id
            loss = math.inf if rung is None else sign * (self._mean(one.config_id, rung) or 0.0)
            has_lost = self._failed_at[one.config_id] is not None
            is_behind = one.config_id not in self._front
            return not is_winner, is_behind, has_lost, -1 if rung is None else -rung - 1, loss, one.number

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
            objectives=self._objectives[one.config_id],
            is_on_front=one.config_id in self._front,
            status=self._status(one),
        )

    def _status(self, one: Candidate) -> str:
        if self._winner is not None and self._winner.config_id == one.config_id:
            return "winner"
        if one in self.others:
            return "finalist"
        if self._failed_at[one.config_id] is not None:
            return "failed"
        return "training" if self._values[one.config_id][-1] is None else "stopped"
