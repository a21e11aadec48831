"""The configurations that a search proposes, planned."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from analysis.records.ablation import AblationInfo
from analysis.records.description import MetricInfo
from analysis.records.searching import NUM_PARAMETERS, Objective, Rung, SearchedArm, SearchInfo
from search_spaces.dimensions import Dimension, freeze
from search_spaces.space import InvalidPointError
from sweeps.errors import UserError, nearest
from sweeps.fields import flatten
from sweeps.plan.search.corners import Point, config_at, in_words
from sweeps.plan.search.rungs import RungError, rungs_of, starts_of
from sweeps.plan.search.warm_start import Told, told_by
from sweeps.plan.units import PlannedArm
from sweeps.studies.schema.search import SearchSpec
from sweeps.studies.search import ArmSpace, StudySearch
from sweeps.studies.study import Arm, Study
from trainables.architectures.base.parameters import count_parameters
from trainables.config.trial import config_id
from trainables.tasks.base.task import Task


@dataclass
class SearchPlan:
    """The plan of a search, and the configurations that it has proposed so far."""

    info: SearchInfo
    settings: SearchSpec
    arms: Mapping[str, PlannedArm]
    """The searched arms with their own settings, sized for the largest corner of their spaces."""
    spaces: Mapping[str, ArmSpace]
    tasks: Mapping[str, Task]
    """The task of each searched arm."""
    told: Mapping[str, tuple[Told, ...]] = field(default_factory=dict)
    """What earlier searches have found for each searched arm."""
    ablation: AblationInfo | None = None
    """The ablation around one of the winners, if there is one."""
    declared: Mapping[str, Arm] = field(default_factory=dict)
    """The study's arms by name."""
    born: dict[str, PlannedArm] = field(default_factory=dict)
    """By config_id."""

    def identify(self, arm: str, point: Point) -> str:
        """Return the config_id of a point of an arm's space.

        Raises:
            InvalidPointError: If it is no valid configuration.
        """
        planned = self.arms[arm]
        return config_id(config_at(planned.config, point), planned.data_hash)

    def bear(self, arm: str, number: int, point: Point) -> PlannedArm:
        """Return the configuration of a proposal, planned; it has the size class of its arm.

        Raises:
            InvalidPointError: If it is no valid configuration.
        """
        own = self.arms[arm].arm
        return self._planned(arm, replace(own, name=f"{arm}#{number}"), point)

    def ablate(self, name: str, point: Point) -> PlannedArm:
        """Return an arm of the ablation, made from the winner at a point.

        Raises:
            InvalidPointError: If it is no valid configuration.
        """
        assert self.ablation is not None
        return self._planned(self.ablation.around, self.declared[name], {**point, **self.ablation.settings[name]})

    def walk(self, arm: str, name: str, point: Point) -> PlannedArm:
        """Return a configuration on the way from an arm's own settings to its winner, planned.

        Raises:
            InvalidPointError: If it is no valid configuration.
        """
        return self._planned(arm, replace(self.arms[arm].arm, name=name), point)

    def own_values(self, arm: str) -> dict[str, Any]:
        """Return an arm's own values of the fields that vary in it, with those that have no effect."""
        fields = flatten(self.arms[arm].config.model_dump(mode="json"))
        return {name: fields[name] for name in self.spaces[arm].space}

    def on_the_way(self, arm: str, flipped: Point) -> dict[str, Any]:
        """Return an arm's own settings with other values of some fields, as a point of its space.

        Raises:
            InvalidPointError: If it is none.
        """
        space = self.spaces[arm].space
        point = {name: freeze(value) for name, value in {**self.own_values(arm), **flipped}.items()}
        if reasons := space.explain(point):
            raise InvalidPointError(reasons[0])
        return space.canonical(point)

    def _planned(self, searched: str, arm: Arm, point: Point) -> PlannedArm:
        own = self.arms[searched]
        config = config_at(own.config, point)
        identity = config_id(config, own.data_hash)
        if identity not in self.born:
            task = self.tasks[searched]
            self.born[identity] = replace(
                own,
                arm=replace(arm, config=config, changes={**own.arm.changes, **point}),
                config_id=identity,
                num_parameters=count_parameters(
                    config.architecture, vocab_size=task.vocab_size, max_seq_len=task.max_length
                ),
                sized_as=own.config_id,
            )
        return self.born[identity]


def plan_search(study: Study, arms: tuple[PlannedArm, ...], tasks: Mapping[str, Task]) -> SearchPlan | None:
    """Return the plan of a study's search; None if it has none.

    Args:
        study: The study.
        arms: All its arms, planned.
        tasks: The task of each arm, by the arm's name.

    Raises:
        UserError: If no ladder fits the steps and reports, or the metric cannot choose.
    """
    search = study.search
    if search is None:
        return None
    by_name = {one.arm: one for one in search.arms}
    searched = {planned.arm.name: planned for planned in arms if planned.arm.name in by_name}
    info = _without_arms(study, search, tasks[search.arms[0].arm], _rungs(study, search, searched))
    seed = search.settings.seed
    told = {name: told_by(study, info, name, by_name[name].space) for name in searched}
    listed = tuple(
        SearchedArm(
            arm=name,
            search=_search_id(info, arm, by_name[name], seed, told[name]),
            fields=tuple(by_name[name].space),
            finalists=1 if arm.arm.role == "baseline" else search.confirm.finalists,
        )
        for name, arm in searched.items()
    )
    info = replace(info, arms=listed)
    ablation = study.ablation if study.ablation and study.ablation.tuning == "winner" else None
    if ablation is not None:
        _check_arms_without(study, ablation, searched[ablation.around])
    return SearchPlan(
        info,
        search.settings,
        searched,
        by_name,
        {name: tasks[name] for name in searched},
        told,
        ablation,
        {arm.name: arm for arm in study.arms},
    )


def _without_arms(study: Study, search: StudySearch, task: Task, rungs: tuple[Rung, ...]) -> SearchInfo:
    """Return what the journal is told of a search, its arms left out: their ids depend on it."""
    metric, subset = _metric(study, search, task, is_early=rungs[0].steps < rungs[-1].steps)
    budget = search.settings.budget
    return SearchInfo(
        method=search.settings.method,
        metric=metric.name,
        subset_metric=subset,
        direction="maximise" if metric.direction == "maximise" else "minimise",
        arms=(),
        rungs=rungs,
        eta=search.scheduler.eta,
        seeds=search.seeds,
        confirm_seeds=search.confirm_seeds,
        replicates=budget.replicates,
        configurations=budget.configurations,
        starts=starts_of(search.scheduler, rungs),
        population=int(budget.replicates) if search.scheduler.name == "pbt" else 0,
        objectives=_objectives(search, task),
        looks=tuple(search.confirm.looks),
        alphas=search.confirm.levels if search.confirm.looks else (),
        path=search.path,
    )


def _check_arms_without(study: Study, ablation: AblationInfo, around: PlannedArm) -> None:
    """Refuse settings that an arm with all its fields cannot take over, such as another architecture."""
    for name, settings in ablation.settings.items():
        try:
            config_at(around.config, settings)
        except InvalidPointError as error:
            section = "placebo" if name in ablation.placebos else "components"
            raise UserError(
                f"{study.where('ablation', section)}: arm '{name}' is to be the winner of '{ablation.around}' with "
                f"{in_words(settings)}: {error}"
            ) from error


def _rungs(study: Study, search: StudySearch, searched: Mapping[str, PlannedArm]) -> tuple[Rung, ...]:
    budgets = {name: planned.config.budget for name, planned in searched.items()}
    first = next(iter(budgets))
    for name, budget in budgets.items():
        if (budget.steps, budget.report_every) != (budgets[first].steps, budgets[first].report_every):
            raise UserError(
                f"{study.where('budget', 'steps', arm=name)}={budget.steps}: the arms of a search train equally "
                f"long and report equally often, and arm '{first}' has budget.steps={budgets[first].steps}, "
                f"report_every={budgets[first].report_every}"
            )
    steps, report_every = budgets[first].steps, budgets[first].report_every
    try:
        return rungs_of(search.scheduler, steps=steps, report_every=report_every)
    except RungError as error:
        raise UserError(f"{search.where('scheduler')}: {error}") from error


def _metric(study: Study, search: StudySearch, task: Task, *, is_early: bool) -> tuple[MetricInfo, str]:
    """Return the metric that chooses, and the name of the one on the subset."""
    known = {metric.name: metric for metric in task.metrics}
    objectives = search.settings.objectives
    primary = objectives[0] if objectives else search.settings.metric or study.metric or task.primary_metric
    name = f"val/{primary.removeprefix('test/')}" if primary.startswith("test/") else primary
    where = search.where("search", "objectives" if objectives else "metric")
    if not name.startswith("val/"):
        raise UserError(f"{where}: '{primary}' cannot choose; name a metric of the validation split")
    if name not in known:
        of_validation = [metric for metric in known if metric.startswith("val/")]
        raise UserError(f"{where}: unknown metric '{name}'; {nearest(name, of_validation)}")
    if known[name].direction == "none":
        raise UserError(f"{where}: '{name}' has no better side, so it cannot choose; name another one")
    subset = name.replace("val/", "val_subset/", 1)
    if is_early and subset not in known:
        raise UserError(
            f"{where}: '{name}' is not scored before the last step, so no rung can compare it; set "
            "scheduler.first=1"
        )
    return MetricInfo(**vars(known[name])), subset


def _objectives(search: StudySearch, task: Task) -> tuple[Objective, ...]:
    known = {m.name: m.direction for m in task.metrics if m.name.startswith("val/") and m.direction != "none"}
    known[NUM_PARAMETERS] = "minimise"
    found = []
    for index, name in enumerate(search.settings.objectives):
        if name not in known:
            raise UserError(
                f"{search.where('search', 'objectives', index)}: no objective '{name}'; {nearest(name, known)}"
            )
        direction: Literal["minimise", "maximise"] = "maximise" if known[name] == "maximise" else "minimise"
        found.append(Objective(name=name, direction=direction))
    return tuple(found)


def _search_id(info: SearchInfo, planned: PlannedArm, space: ArmSpace, seed: int, told: tuple[Told, ...]) -> str:
    """Return what names a search: proposals of another space, or compared otherwise, are of another search."""
    dimensions = {name: _values(dimension) for name, dimension in space.space.dimensions.items()}
    rules = [str(rule) for rule in (*space.space.conditions, *space.space.forbidden)]
    rungs = [dataclasses.asdict(rung) for rung in info.rungs]
    named = [planned.config_id, dimensions, rules, rungs, info.metric, info.subset_metric, info.seeds, seed]
    named += [info.starts] if info.starts != (0,) else []
    named += [info.population, info.eta] if info.population else []
    named += [told] if told else []
    named += [[one.name for one in info.objectives]] if info.objectives else []
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]


def _values(dimension: Dimension) -> dict[str, Any]:
    """Return what decides the values of a dimension."""
    said = {"unit", "meaning", "source"}
    own = {field.name: getattr(dimension, field.name) for field in dataclasses.fields(dimension)}
    return {"kind": type(dimension).__name__, **{name: value for name, value in own.items() if name not in said}}
