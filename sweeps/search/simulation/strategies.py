"""Simulated searches of a study beside other ways to spend the same budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from analysis.records.searching import Rung
from analysis.statistics.inference import mean_interval
from analysis.statistics.regret import RegretPoint, regret_curve
from search_spaces.space import SearchSpace
from sweeps.plan.search.rungs import rungs_of, starts_of
from sweeps.search.chooser import ArmSearch
from sweeps.search.methods import make_sampler
from sweeps.search.samplers import Point, stream
from sweeps.search.simulation.virtual import Simulated, VirtualSweep, claims_better, name_of
from sweeps.search.simulation.worlds import WORLDS
from sweeps.search.sobol import sobol_fractions
from sweeps.studies.search import ArmSpace, StudySearch

NUM_POINTS = 1024
"""Sobol points among which the best possible configuration of a world is looked for."""
NUM_BUDGETS = 60
"""Shares of the budget at which regret is shown."""
BASELINE: Point = {"baseline": True}
"""Stands for the baseline arm where no configuration is better than another."""


@dataclass(frozen=True, kw_only=True)
class StrategyRow:
    """A way to spend the budget, over simulated searches; each search has a world of its own."""

    strategy: str
    searches: int
    trials: int
    """Starts of replicates in all searches."""
    candidates: float
    """Candidates of a search, on average."""
    replicates: float
    """What a search trained, in replicates trained to the last step, on average."""
    hours: float
    """Wall time of a search in the time of one whole replicate, on average."""
    regret: float
    """How much worse the winner's true mean is than the best possible, on average."""
    regret_ci_low: float | None
    regret_ci_high: float | None
    optimism: float
    """How much better the winner's shown mean is than its true one, on average: what was selected is too good."""
    false_winners: float
    """Share of searches in which another candidate trained whole is clearly better."""
    claims: float | None
    """Share of searches whose winner is found better than an equally good baseline, on fresh seeds; of the world
    `null` only, where each such claim is false and 0.025 are expected."""
    selected_claims: float | None
    """The same on the seeds that chose the winner."""
    curve: tuple[RegretPoint, ...]
    """Regret against budget, up to what the search that spent most has spent."""


def strategies(search: StudySearch, *, steps: int, report_every: int) -> dict[str, tuple[Rung, ...]]:
    """Return the rungs of the study's own scheduler, and of others for comparison."""
    own = rungs_of(search.scheduler, steps=steps, report_every=report_every)
    of_steps = tuple(rung for rung in own if rung.seeds == 1)
    found = {
        own_name(search): own,
        "one seed, all steps": (Rung(steps=steps, seeds=1),),
        "three seeds, all steps": (Rung(steps=steps, seeds=3),),
        "one seed, rungs of steps": of_steps,
    }
    distinct: dict[tuple[Rung, ...], str] = {}
    for name, rungs in found.items():
        if rungs:
            distinct.setdefault(rungs, name)
    return {name: rungs for rungs, name in distinct.items()}


def own_name(search: StudySearch) -> str:
    """Return the name of the study's own scheduler among the strategies."""
    return f"{search.scheduler.name}, as the study has it"


def simulate(
    search: StudySearch, one: ArmSpace, rungs: tuple[Rung, ...], name: str, *, world: str, searches: int, slots: int
) -> StrategyRow:
    """Simulate searches of one arm, each in a world of its own.

    Args:
        search: The study's search.
        one: The space of the arm.
        rungs: Who is compared when.
        name: Of the strategy.
        world: One of `WORLDS`.
        searches: How many.
        slots: Workers of each.
    """
    found, regrets, paths, claims, selected = [], [], [], [], []
    for number in range(searches):
        made = WORLDS[world](one.space, number)
        fixed = _arm_search(
            search, one, rungs, stream(search.settings.seed, number), is_own=name == own_name(search)
        )
        result = VirtualSweep(fixed, made, slots).run()
        found.append(result)
        lowest = min((made.true_mean(point) for point in _points(one.space)), default=result.best_true)
        best = min(lowest, result.best_true)
        regrets.append(result.true_mean - best)
        paths.append([(spent, mean - best) for spent, mean in result.leaders])
        if world == "null" and result.winner is not None:
            looks = (
                tuple(zip(search.confirm.looks, search.confirm.levels, strict=True)) if search.confirm.looks else ()
            )
            claims.append(claims_better(made, result.winner, BASELINE, search.confirm_seeds, looks))
            used = fixed.seeds[: rungs[-1].seeds]
            selected.append(len(used) > 1 and claims_better(made, result.winner, BASELINE, used))
    budget, most = search.settings.budget.replicates, max(one.replicates for one in found)
    budgets = [share * budget / NUM_BUDGETS for share in range(1, NUM_BUDGETS + 1)]
    curve = regret_curve(paths, [spent for spent in budgets if spent < most + budget / NUM_BUDGETS])
    return _row(name, found, regrets, claims, selected, curve)


def _arm_search(
    search: StudySearch, one: ArmSpace, rungs: tuple[Rung, ...], seed: int, *, is_own: bool
) -> ArmSearch:
    settings = search.settings
    count = max(rung.seeds for rung in rungs)
    following = range(max(search.seeds) + 1, max(search.seeds) + 1 + count)
    return ArmSearch(
        space=one.space,
        sampler=make_sampler(settings.method, one.space, seed=seed, levels=settings.levels),
        seed=seed,
        rungs=rungs,
        eta=search.scheduler.eta,
        seeds=(*search.seeds, *following)[:count],
        replicates=settings.budget.replicates,
        configurations=settings.budget.configurations,
        first_points=(*(() if one.own is None else (one.own,)), *one.start_with),
        identify=name_of,
        starts=starts_of(search.scheduler, rungs) if is_own else (0,),
    )


def _points(space: SearchSpace) -> Iterator[Point]:
    for number in range(NUM_POINTS):
        if (point := space.at(sobol_fractions(number, len(space), 0))) is not None:
            yield point


def _row(
    name: str,
    found: list[Simulated],
    regrets: list[float],
    claims: list[bool],
    selected: list[bool],
    curve: tuple[RegretPoint, ...],
) -> StrategyRow:
    n = len(found)
    interval = mean_interval(regrets) if n > 1 else None
    return StrategyRow(
        strategy=name,
        searches=n,
        trials=sum(one.num_trials for one in found),
        candidates=sum(one.num_candidates for one in found) / n,
        replicates=sum(one.replicates for one in found) / n,
        hours=sum(one.hours for one in found) / n,
        regret=sum(regrets) / n,
        regret_ci_low=interval.low if interval else None,
        regret_ci_high=interval.high if interval else None,
        optimism=sum(one.true_mean - one.shown for one in found) / n,
        false_winners=sum(one.is_false for one in found) / n,
        claims=sum(claims) / len(claims) if claims else None,
        selected_claims=sum(selected) / len(selected) if selected else None,
        curve=curve,
    )
