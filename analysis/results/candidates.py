"""The candidates of a search at every rung, and where each of them stands.

Means of a rung are over the search's own seeds; those on fresh seeds are in `CandidateRow.confirmed`, never among
them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.records.searching import NUM_PARAMETERS, SearchedArm, SearchInfo
from analysis.results.search_table import BestRow, BestTable, SearchRow
from analysis.results.searches import Scored, best_of, rung_scores, scored_at
from analysis.results.table import ResultRow


@dataclass(frozen=True, kw_only=True)
class CandidateRow(BestRow):
    """A candidate with its scores at every rung."""

    scores: tuple[Scored | None, ...]
    """One a rung; None where it has none."""
    standing: str
    """`confirmed`, `selected` (not on fresh seeds yet), `finalist, confirmed`, `finalist`, `failed`, `climbing to
    rung 1` (it trains), `waiting at rung 1`: others are better so far; `dropped at rung 1`: the search is over.
    """
    confirmed: ResultRow | None
    """The winner or a finalist on fresh seeds; None for all others, and before it has a value there."""

    @property
    def is_winner(self) -> bool:
        """Whether the search has selected it."""
        return self.status == "winner"

    @property
    def has_failed(self) -> bool:
        """Whether one of its replicates failed for good."""
        return self.status == "failed"


@dataclass(frozen=True, kw_only=True)
class SpentPoint:
    """What a search showed after it had spent so much."""

    spent: float
    """Replicates, as if each were trained to the last step."""
    name: str
    """The candidate that got a score."""
    seeds: int
    """Behind that score."""
    score: float
    leader: float
    """Score of the leader then: the best at the highest rung that has one."""


@dataclass(frozen=True, kw_only=True)
class ArmCandidates:
    """The search of one arm with all its candidates."""

    search: SearchRow
    info: SearchInfo
    confirm_seeds: tuple[int, ...]
    """Fresh ones: those that looks have started so far."""
    unit: str
    rows: tuple[CandidateRow, ...]
    """The best first."""
    rank_correlations: tuple[tuple[float | None, int], ...]
    """Spearman's of each rung with the next, and its number of pairs."""
    spent: tuple[SpentPoint, ...]
    """Whenever a candidate got a score at a rung of all steps, in order of time."""

    @property
    def is_over(self) -> bool:
        """Whether the winner is selected."""
        return self.search.stopped_because is not None


def candidates_of(state: JournalState) -> list[ArmCandidates]:
    """Return the searches of the newest sweep; none if it does not search."""
    info = state.sweep.search if state.sweep else None
    if info is None:
        return []
    found = best_of(state, info)
    return [_arm(state, info, found, searched) for searched in info.arms]


def by_objective(state: JournalState, found: ArmCandidates) -> list[ArmCandidates]:
    """Return a search once for each of its objectives, as if that were its only one; as it is if there is one."""
    assert state.sweep is not None
    views = []
    for one in found.info.objectives:
        is_metric = one.name != NUM_PARAMETERS
        rows = tuple(replace(row, scores=(_score_of(row, one.name),)) for row in found.rows)
        info = replace(found.info, metric=one.name, direction=one.direction)
        unit = state.sweep.metric(one.name).unit if is_metric else "parameters"
        views.append(replace(found, info=info, unit=unit, rows=rows))
    return views or [found]


def _score_of(row: CandidateRow, objective: str) -> Scored | None:
    if objective not in row.objectives:
        return None
    value = row.objectives[objective]
    return Scored(number=row.number, by=row.by, point=row.point, mean=value, values=(value,))


def standings(state: JournalState) -> dict[str, str]:
    """Return at which rung each candidate of the newest sweep stands, by config_id; none if it does not search."""
    return {
        row.config_id: row.standing if " rung " in row.standing else f"stopped at rung {row.rung}"
        for found in candidates_of(state)
        for row in found.rows
    }


def _arm(state: JournalState, info: SearchInfo, found: BestTable, searched: SearchedArm) -> ArmCandidates:
    search = next(row for row in found.searches if row.arm == searched.arm)
    at_rungs = [
        {one.number: one for one in scored_at(state, info, searched, rung)} for rung in range(len(info.rungs))
    ]
    targets = {one.number: one.rung for one in state.searches.of(searched.search)}
    fresh = {row.arm: row for row in search.finalists if row.n}
    rows = [
        CandidateRow(
            **vars(row),
            scores=tuple(scored.get(row.number) for scored in at_rungs),
            standing=_standing(row, search, targets[row.number], is_confirmed=f"{row.arm}#{row.number}" in fresh),
            confirmed=search.confirmed if row.status == "winner" else fresh.get(f"{row.arm}#{row.number}"),
        )
        for row in found.rows
        if row.arm == searched.arm
    ]
    return ArmCandidates(
        search=search,
        info=info,
        confirm_seeds=found.confirm_seeds,
        unit=found.unit,
        rows=tuple(rows),
        rank_correlations=tuple(
            (rung.rank_correlation, rung.n_pairs) for rung in found.rungs if rung.arm == searched.arm
        )[:-1],
        spent=tuple(_spent(state, info, searched)),
    )


def _standing(row: BestRow, search: SearchRow, target: int, *, is_confirmed: bool) -> str:
    match row.status:
        case "failed":
            return "failed"
        case "winner":
            return "confirmed" if search.confirmed is not None else "selected"
        case "finalist":
            return "finalist, confirmed" if is_confirmed else "finalist"
        case "training":
            return f"climbing to rung {target}"
    return f"{'dropped' if search.stopped_because else 'waiting'} at rung {row.rung}"


def _spent(state: JournalState, info: SearchInfo, searched: SearchedArm) -> list[SpentPoint]:
    """Return what was shown at each score of all steps; scores after fewer steps do not compare with those."""
    candidates = state.searches.of(searched.search)
    seeds = set(info.seeds)
    replicates = {
        one.config_id: {
            r.seed: r for key, r in state.replicates.items() if key[0] == one.config_id and key[1] in seeds
        }
        for one in candidates
    }
    every = [replicate for own in replicates.values() for replicate in own.values()]
    scored = []
    for one in candidates:
        for index, rung in enumerate(info.rungs[: one.rung + 1]):
            own = [replicates[one.config_id].get(seed) for seed in info.seeds[: rung.seeds]]
            known = [r for r in own if r is not None and info.last_step in rung_scores(r, info)]
            if rung.steps == info.last_step and len(known) == rung.seeds:
                values = [rung_scores(r, info)[info.last_step] for r in known]
                at = max(r.reports[-1].time for r in known)
                scored.append((at, index, sum(values) / len(values), one.name, rung.seeds))
    sign = -1.0 if info.direction == "maximise" else 1.0
    points: list[SpentPoint] = []
    so_far: list[tuple[int, float, float]] = []
    for at, index, score, name, num_seeds in sorted(scored):
        so_far.append((-index, sign * score, score))
        points.append(
            SpentPoint(
                spent=_trained(every, at) / info.last_step,
                name=name,
                seeds=num_seeds,
                score=score,
                leader=min(so_far)[2],
            )
        )
    return points


def _trained(replicates: list[Replicate], until: float) -> int:
    """Return the steps that all replicates had trained at a time."""
    return sum(replicate.num_steps(until) for replicate in replicates)
