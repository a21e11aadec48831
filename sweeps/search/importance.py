"""Which of the fields that a search varies matter: importances, with intervals and what they leave unexplained.

They are computed from the scores at one rung, by default the first: every candidate has one there, and none was
chosen by it. Later rungs hold the better ones only.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from importlib import metadata

from analysis.records.journal import JournalState
from analysis.records.searching import SearchedArm, SearchInfo
from analysis.results.importance import ArmImportance, Evaluator, FieldImportance, ImportanceTable
from analysis.results.searches import Scored, scored_at
from analysis.statistics.inference import standard_deviation
from search_spaces.dimensions import freeze
from search_spaces.space import SearchSpace
from sweeps.search.optuna_importance import importances
from sweeps.search.samplers import Point, stream

FEWEST = 20
"""Candidates without which there is nothing to say."""
MOST_FOR_FOREST = 300
"""Candidates of which a forest is grown; it takes a minute for a thousand."""
NUM_HALVES = 20
TREES_OF_HALVES = 8
UNEXPLAINED = 0.3
"""Share above which fields by themselves do not tell the story."""
SPACE_FILLING = ("sobol", "random", "grid", "random, in place of another", "the study", "enqueue")
"""What proposes without regard to scores."""


class ImportanceError(ValueError):
    """Importances that cannot be had; the message says why and what to do."""


def importance_of(
    state: JournalState,
    info: SearchInfo,
    spaces: dict[str, SearchSpace],
    *,
    evaluator: Evaluator,
    rung: int = 0,
    only_space_filling: bool = False,
    seed: int = 0,
) -> ImportanceTable:
    """Return the importances of the searches of the newest sweep.

    Args:
        state: The journal.
        info: The search.
        spaces: What varies in each searched arm.
        evaluator: `fanova` or `ped_anova`.
        rung: Whose scores are explained.
        only_space_filling: Leave out candidates that a model proposed.
        seed: Of the forests and halves.

    Raises:
        ImportanceError: If there are too few candidates, they do not fit the space, or the evaluator cannot have
            this space.
    """
    assert state.sweep is not None
    if rung >= len(info.rungs):
        raise ImportanceError(f"there is no rung {rung}; the last is {len(info.rungs) - 1}")
    of_arms = []
    for searched in info.arms:
        scored = scored_at(state, info, searched, rung)
        if only_space_filling:
            scored = [one for one in scored if one.by in SPACE_FILLING]
        of_arms.append(_ArmScores(info, searched, spaces[searched.arm], scored, rung).table(evaluator, seed))
    return ImportanceTable(
        study=state.sweep.study,
        scale=state.sweep.scale,
        metric=info.metric,
        evaluator=evaluator,
        evaluator_version=f"optuna {metadata.version('optuna')}",
        seed=seed,
        arms=tuple(of_arms),
    )


class _ArmScores:
    def __init__(
        self, info: SearchInfo, searched: SearchedArm, space: SearchSpace, scored: Sequence[Scored], rung: int
    ) -> None:
        self._info, self._arm, self._space, self._rung = info, searched.arm, space, rung
        self._scored = list(scored)
        self._points = [{name: freeze(value) for name, value in one.point.items()} for one in scored]
        sign = -1.0 if info.direction == "maximise" else 1.0
        self._losses = [sign * one.mean for one in scored]

    def table(self, evaluator: Evaluator, seed: int) -> ArmImportance:
        self._check(evaluator)
        draw = random.Random(stream(seed, self._arm, evaluator))
        every = list(range(len(self._scored)))
        used = every
        if evaluator == "fanova" and len(every) > MOST_FOR_FOREST:
            used = sorted(draw.sample(every, MOST_FOR_FOREST))
        shares = self._shares(used, evaluator, seed)
        halves = [
            self._shares(draw.sample(used, len(used) // 2), evaluator, number, TREES_OF_HALVES)
            for number in range(NUM_HALVES)
        ]
        explained = math.fsum(shares.values()) if evaluator == "fanova" else None
        at = self._info.rungs[self._rung]
        return ArmImportance(
            arm=self._arm,
            rung=self._rung,
            steps=at.steps,
            seeds=at.seeds,
            n_configurations=len(used),
            n_left_out=len(every) - len(used),
            n_adaptive=sum(self._scored[index].by not in SPACE_FILLING for index in used),
            fields=tuple(
                sorted(
                    (_field(name, share, [half[name] for half in halves]) for name, share in shares.items()),
                    key=lambda field: -field.share,
                )
            ),
            explained=explained,
            unexplained=None if explained is None else 1 - explained,
            noise_share=self._noise_share(),
            warning="; ".join(_warnings(explained, self._info)),
        )

    def _check(self, evaluator: Evaluator) -> None:
        if len(self._scored) < FEWEST:
            raise ImportanceError(
                f"arm '{self._arm}' has {len(self._scored)} candidates with a score at rung {self._rung}, and an "
                f"importance needs {FEWEST}: give search.budget more, and if this search is over also another "
                "search.seed"
            )
        for point in self._points:
            if reasons := self._space.explain(point):
                raise ImportanceError(
                    f"arm '{self._arm}': a candidate lies outside of the study's space ({reasons[0]}): the space "
                    "has changed since"
                )
        if min(self._losses) == max(self._losses):
            raise ImportanceError(f"arm '{self._arm}': all candidates score the same, so nothing is to explain")
        conditional = [name for name in self._space if any(name not in point for point in self._points)]
        if evaluator == "fanova" and conditional:
            raise ImportanceError(
                f"arm '{self._arm}': {', '.join(conditional)} has no effect in some candidates, which fANOVA "
                "cannot weigh; choose --evaluator ped_anova"
            )

    def _shares(
        self, used: Sequence[int], evaluator: Evaluator, seed: int, num_trees: int | None = None
    ) -> dict[str, float]:
        points: list[Point] = [self._points[index] for index in used]
        losses = [self._losses[index] for index in used]
        more = {} if num_trees is None else {"num_trees": num_trees}
        return importances(self._space, points, losses, evaluator, seed=seed, **more)

    def _noise_share(self) -> float | None:
        spreads = [standard_deviation(one.values) for one in self._scored if len(one.values) > 1]
        known = [spread for spread in spreads if spread is not None]
        total = standard_deviation(self._losses)
        if not known or not total:
            return None
        of_a_mean = math.fsum(spread**2 for spread in known) / len(known) / self._info.rungs[self._rung].seeds
        return min(1.0, of_a_mean / total**2)


def _field(name: str, share: float, halves: Sequence[float]) -> FieldImportance:
    """Return a share with the interval of its estimates on halves, whose spread is that of the whole's error."""
    spread = 1.96 * math.sqrt(math.fsum((half - share) ** 2 for half in halves) / len(halves))
    return FieldImportance(
        name=name, share=share, ci_low=max(0.0, share - spread), ci_high=min(1.0, share + spread)
    )


def _warnings(explained: float | None, info: SearchInfo) -> Iterator[str]:
    if info.objectives:
        others = " and ".join(one.name for one in info.objectives[1:])
        yield f"of {info.metric} alone: what matters for {others} may differ"
    if explained is not None and 1 - explained > UNEXPLAINED:
        yield (
            f"fields by themselves explain {explained:.0%}: the rest is interactions or noise, so a small share "
            "does not mean that a field does not matter; a factorial ablation tells"
        )
