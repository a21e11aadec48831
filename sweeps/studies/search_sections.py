"""The search of a study, resolved: what varies in which arm, how it is proposed, and which seeds are whose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.records.path import PATH_SEEDS
from search_spaces.catalogue import SPACES
from search_spaces.dimensions import Dimension
from search_spaces.space import Condition, Forbidden, SearchSpace
from sweeps.errors import UserError, nearest
from sweeps.fields import flatten
from sweeps.studies.ablation import path_of
from sweeps.studies.schema.search import CHANGEABLE, SECTIONS, ConfirmSpec, SchedulerSpec, SearchSpec, SpaceSpec
from sweeps.studies.search import ArmSpace, StudySearch
from sweeps.studies.sections import SectionReader
from trainables.config.trial import TrialConfig

if TYPE_CHECKING:
    from analysis.records.ablation import AblationInfo
    from sweeps.studies.draft import Draft

VARIABLE = ("architecture", "optimizer", "budget.batch_size")
"""Sections and fields that a search may vary: it compares configurations on one task, with equal steps."""
SECTIONS_OF_SPACES = ("architecture", "optimizer", "budget", "task")


class _Sections(SectionReader):
    """The sections about a search, validated."""

    def __init__(self, draft: Draft, ablation: AblationInfo | None) -> None:
        super().__init__(draft, fallback="space")  # the space is what makes the others matter
        self.space = self.read("space", SpaceSpec)
        self.search = self.read("search", SearchSpec)
        self.scheduler = self.read("scheduler", SchedulerSpec)
        self.confirm = self.read("confirm", ConfirmSpec)
        self.set_without = ablation.settings if ablation else {}
        """{arm of the ablation: fields that it sets itself}."""
        self.is_retuned = ablation is not None and ablation.tuning == "each"
        self.around = ablation.around if ablation else None


def resolve_search(
    draft: Draft, configs: Mapping[str, TrialConfig], ablation: AblationInfo | None = None
) -> StudySearch | None:
    """Return the search of a draft, whose arms have these configurations; None if it has none.

    Args:
        draft: The study.
        configs: The configuration of each arm.
        ablation: Its ablation; its arms are searched only if they are to be tuned again.

    Raises:
        UserError: On a mistake in one of its sections.
    """
    sections = _Sections(draft, ablation)
    varied = _varied(sections)
    if not len(varied):
        _refuse_without_space(draft, sections)
        return None
    _check_names(varied, configs, sections, draft)  # before conditions, which would be blamed for a misspelt field
    space = _with_conditions(varied, sections)
    arms = tuple(_arm_space(name, space, configs[name], sections) for name in _arms(space, configs, sections))
    seeds = _search_seeds(draft.seeds, sections)
    _check_metric(draft, sections)
    if sections.search.objectives and sections.scheduler.name != "fifo":
        raise UserError(
            f"{sections.where('scheduler', 'name')}={sections.scheduler.name}: nsga2 ranks candidates by several "
            "objectives, and rungs by one; train every candidate whole, with scheduler: {name: fifo, seeds: 1}"
        )
    if sections.confirm.looks:
        _check_looks(draft, configs, sections)
    if sections.scheduler.name == "pbt":
        _check_population(arms, configs, sections)
    return StudySearch(
        sections.search,
        sections.scheduler,
        arms,
        seeds,
        _confirm_seeds(seeds, sections),
        sections.confirm,
        _path(draft, arms, seeds, sections),
        sections.where,
    )


def _check_population(arms: tuple[ArmSpace, ...], configs: Mapping[str, TrialConfig], sections: _Sections) -> None:
    """Refuse a population in which nothing can change, that is too small, or that a model proposes."""
    if sections.search.method not in {"sobol", "random"}:
        raise UserError(
            f"{sections.where('search', 'method')}={sections.search.method}: a population begins with points that "
            "fill the space, and learns by replacing members; set search.method to sobol or random"
        )
    members, least = int(sections.search.budget.replicates), 2 * sections.scheduler.eta
    if members < least:
        raise UserError(
            f"{sections.where('search', 'budget', 'replicates')}={members}: a population has as many members, "
            f"and at each rung one in scheduler.eta={sections.scheduler.eta} is replaced; give at least {least}"
        )
    for one in arms:
        names = [name for name in CHANGEABLE if name in one.space]
        if not names:
            raise UserError(
                f"{sections.where('space', 'fields')}: pbt changes {' or '.join(CHANGEABLE)} while members train, "
                f"and arm '{one.arm}' varies neither"
            )
        for name in names:
            if min(one.space.dimensions[name].grid(2)) <= 0:
                raise UserError(
                    f"{sections.where('space', 'fields', name)}: pbt multiplies it, which leaves 0 as it is; begin "
                    "above 0"
                )
        if configs[one.arm].optimizer.changes:
            raise UserError(
                f"{sections.where('scheduler', 'name')}=pbt: arm '{one.arm}' has optimizer.changes of its own; "
                "leave them to the search"
            )


def _path(draft: Draft, arms: tuple[ArmSpace, ...], seeds: tuple[int, ...], sections: _Sections) -> str:
    """Return the arm from whose own settings a path leads to its winner; empty if none does."""
    around = path_of(draft)
    if not around:
        return ""
    where = sections.where("ablation", "around")
    found = next((one for one in arms if one.arm == around), None)
    if found is None:
        raise UserError(f"{where}: a path leads to what a search finds, and arm '{around}' is not searched")
    if found.own is None:
        raise UserError(
            f"{where}: a path begins at the own settings of arm '{around}', and they lie outside of the space; "
            "widen it"
        )
    if sections.scheduler.name == "pbt":
        raise UserError(
            f"{sections.where('scheduler', 'name')}=pbt: a path leads from fixed settings to others, and "
            "a winner of pbt is a schedule; choose ladder"
        )
    if len(seeds) < PATH_SEEDS:
        raise UserError(
            f"{where}: a path tries each field with {PATH_SEEDS} seeds of the search; set "
            f"scheduler.seeds={PATH_SEEDS}"
        )
    if sections.confirm.looks:
        raise UserError(
            f"{sections.where('confirm', 'looks')}: the steps of a path are compared with a number of seeds that "
            "is known before; give confirm.seeds in place of looks"
        )
    return around


def _refuse_without_space(draft: Draft, sections: _Sections) -> None:
    if path_of(draft):
        raise UserError(
            f"{sections.where('ablation', 'design')}: a path leads to what a search finds; say what varies under "
            "space.fields"
        )
    for name in SECTIONS:
        if draft.section(name):
            raise UserError(
                f"{sections.where(name)}: nothing varies in this study; say what does under space.fields, such as "
                "`optimizer.learning_rate: {log: [1e-4, 1e-2]}`"
            )


def _varied(sections: _Sections) -> SearchSpace:
    """Return the library's spaces and the study's own fields, checked one by one, so that an error has its line."""
    spec = sections.space
    used = SearchSpace({})
    for index, name in enumerate(spec.use):
        if name not in SPACES:
            raise UserError(f"{sections.where('space', 'use', index)}: no space '{name}'; {nearest(name, SPACES)}")
        with sections.located("space", "use", index):
            used |= _of_configuration(SPACES[name])
    dimensions: dict[str, Dimension] = dict(used.dimensions)
    for name, field in spec.fields.items():
        with sections.located("space", "fields", name):
            dimensions[name] = field.dimension()
            SearchSpace({name: dimensions[name]})
    return SearchSpace(dimensions, used.conditions, used.forbidden)


def _with_conditions(space: SearchSpace, sections: _Sections) -> SearchSpace:
    """Add the study's conditions and forbidden combinations, one by one."""
    for index, item in enumerate(sections.space.when):
        with sections.located("space", "when", index):
            condition = Condition(tuple(item.fields), item.only_if)
            space = SearchSpace(space.dimensions, (*space.conditions, condition), space.forbidden)
    for index, refused in enumerate(sections.space.forbid):
        with sections.located("space", "forbid", index):
            forbidden = Forbidden(refused.when, refused.reason)
            space = SearchSpace(space.dimensions, space.conditions, (*space.forbidden, forbidden))
    return space


def _of_configuration(space: SearchSpace) -> SearchSpace:
    """Return a library's space with the names of a configuration: those of a family are its architecture's."""
    is_whole = all(name.partition(".")[0] in SECTIONS_OF_SPACES for name in space)
    return space if is_whole else space.within("architecture")


def _check_names(space: SearchSpace, configs: Mapping[str, TrialConfig], sections: _Sections, draft: Draft) -> None:
    fields = {name: flatten(config.model_dump(mode="json")) for name, config in configs.items()}
    searched = sections.search.arms or list(configs)
    for index, name in enumerate(sections.search.arms or []):
        if name not in configs:
            raise UserError(f"{sections.where('search', 'arms', index)}: no arm '{name}'; {nearest(name, configs)}")
    for name in space:
        where = sections.where("space", "fields", name)
        if not any(name == each or name.startswith(f"{each}.") for each in VARIABLE):
            raise UserError(
                f"{where}: a search compares configurations on one task, with equal steps; it varies fields of "
                "architecture and optimizer, and budget.batch_size"
            )
        if not any(name in fields[arm] for arm in searched):
            known = sorted({field for arm in searched for field in fields[arm]})
            raise UserError(
                f"{where}: none of the searched arms ({', '.join(searched)}) has this field; {nearest(name, known)}"
            )
        if draft.file.grid is not None and name in draft.file.grid.fields:
            raise UserError(f"{where}: the grid varies this field too; leave it to one of them")


def _arms(space: SearchSpace, configs: Mapping[str, TrialConfig], sections: _Sections) -> list[str]:
    """Return the searched arms; none starts with the weights of another arm, nor another one with its weights."""
    having = [name for name, config in configs.items() if _own_fields(name, space, config, sections)]
    searched = _searched(having, sections)
    where = sections.where("search", "arms")
    for name in searched:
        if name not in having and name in sections.set_without:
            raise UserError(
                f"{sections.where('ablation', 'retune')}: the space has only fields that arm '{name}' sets itself, "
                "so there is nothing to tune in it"
            )
        if name not in having:
            raise UserError(f"{where}: arm '{name}' has no field of the space")
        if configs[name].pretraining is not None or configs[name].resume_from is not None:
            raise UserError(
                f"{where}: arm '{name}' starts with the weights of another replicate, which the candidates of a "
                "search cannot share; name the arms to search under search.arms, without it"
            )
    for name, config in configs.items():
        source = config.resume_from.arm if config.resume_from else None
        if source in searched:
            raise UserError(
                f"{where}: arm '{name}' starts with the weights of arm '{source}', whose settings are searched "
                "for; name the arms to search under search.arms, without it"
            )
    return searched


def _searched(having: list[str], sections: _Sections) -> list[str]:
    """Return the arms to search: those of the ablation only if it tunes them, and then all of them."""
    made = list(sections.set_without)
    named = sections.search.arms or [name for name in having if name not in made]
    if not sections.is_retuned and (wrong := [name for name in named if name in made]):
        raise UserError(
            f"{sections.where('search', 'arms')}: arm '{wrong[0]}' is made by the ablation; ablation.retune=true "
            "searches all of its arms, with equal budgets"
        )
    is_tuned = sections.is_retuned and sections.around in named
    return list(dict.fromkeys([*named, *(made if is_tuned else [])]))


def _own_fields(name: str, space: SearchSpace, config: TrialConfig, sections: _Sections) -> dict[str, Any]:
    """Return the arm's own values of the fields of the space that it has, without those an ablation sets in it."""
    flat, fixed = flatten(config.model_dump(mode="json")), sections.set_without.get(name, {})
    return {
        field: flat[field]
        for field in space
        if field in flat and not any(f"{field}.".startswith(f"{one}.") for one in fixed)
    }


def _arm_space(name: str, space: SearchSpace, config: TrialConfig, sections: _Sections) -> ArmSpace:
    own = _own_fields(name, space, config, sections)
    with sections.located("space"):
        narrowed = space.only(own)
    points = []
    for index, given in enumerate(sections.search.start_with):
        unknown = [field for field in given if field not in space]
        if unknown:
            where = sections.where("search", "start_with", index)
            raise UserError(f"{where}: '{unknown[0]}' does not vary in this study; {nearest(unknown[0], space)}")
        point = {**own, **{field: value for field, value in given.items() if field in own}}
        reasons = narrowed.explain(point)
        if reasons:
            where = sections.where("search", "start_with", index)
            raise UserError(f"{where}: not a point of the space of arm '{name}': {reasons[0]}")
        points.append(narrowed.canonical(point))
    inside = not narrowed.explain(own)
    return ArmSpace(name, narrowed, narrowed.canonical(own) if inside else None, tuple(points))


def _search_seeds(own: tuple[int, ...], sections: _Sections) -> tuple[int, ...]:
    """Return the seeds of the search: the study's, then the next whole numbers."""
    count = sections.scheduler.most_seeds
    if sections.search.budget.replicates < count:
        raise UserError(
            f"{sections.where('search', 'budget', 'replicates')}={sections.search.budget.replicates:g}: one climb "
            f"to the top takes {count} replicates, one for each of scheduler.seeds; allow more, or fewer seeds"
        )
    seeds = own[:count]
    following = max(own) + 1
    return (*seeds, *range(following, following + count - len(seeds)))


def _confirm_seeds(seeds: tuple[int, ...], sections: _Sections) -> tuple[int, ...]:
    given = sections.confirm.looks[-1] if sections.confirm.looks else sections.confirm.seeds
    where = sections.where("confirm", "seeds")
    if isinstance(given, int):
        given = list(range(max(seeds) + 1, max(seeds) + 1 + given))
    if not given or len(set(given)) != len(given) or min(given) < 0:
        raise UserError(f"{where}: seeds must be a count of at least 1, or different whole numbers; got {given}")
    met = sorted(set(given) & set(seeds))
    if met:
        raise UserError(
            f"{where}: the search uses seed {met[0]} too ({', '.join(map(str, seeds))}), and a winner is not "
            f"confirmed on seeds that chose it; begin at {max(seeds) + 1}"
        )
    return tuple(given)


LOOKED_AT = ("superiority", "pairwise", "non_inferiority", "equivalence", "receipt")
"""Kinds of claims that are judged at looks: comparisons, at the level of the look, and what needs no level."""


def _check_looks(draft: Draft, configs: Mapping[str, TrialConfig], sections: _Sections) -> None:
    """Refuse what cannot be judged when its number of seeds depends on what they show."""
    where = sections.where("confirm", "looks")
    if sections.set_without:
        raise UserError(
            f"{where}: the model of an ablation needs a number of seeds that is known before they run; give "
            "confirm.seeds in place of looks"
        )
    for claim in draft.claims:
        if claim.kind not in LOOKED_AT:
            raise UserError(
                f"{where}: claim '{claim.id}' of kind {claim.kind} needs a number of seeds that does not depend on "
                f"what they show; give confirm.seeds in place of looks"
            )
    for name, config in configs.items():
        if config.pretraining is not None or config.resume_from is not None:
            raise UserError(
                f"{where}: arm '{name}' starts with the weights of another replicate, which looks do not start; "
                "give confirm.seeds in place of looks"
            )


def _check_metric(draft: Draft, sections: _Sections) -> None:
    metric = sections.search.metric
    if metric is not None and not metric.startswith("val/"):
        raise UserError(
            f"{sections.where('search', 'metric')}: '{metric}' cannot choose: winners are chosen on the whole "
            "validation split, and the others only report; name one that begins with val/"
        )
