"""From a draft to a study with every field resolved and validated by the classes of its architectures and tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from analysis.records.ablation import AblationInfo
from sweeps.errors import UserError
from sweeps.fields import DEFAULT_SCALE, KeyPath, flatten, merge
from sweeps.studies.ablation import expand_ablation, with_tuning
from sweeps.studies.claims import check_fields, with_arms
from sweeps.studies.draft import Draft
from sweeps.studies.grid import expand
from sweeps.studies.plugins import load_study_plugins
from sweeps.studies.schema.study import ArmSpec
from sweeps.studies.search_sections import resolve_search
from sweeps.studies.sections import SectionReader
from sweeps.studies.study import Arm, Expansion, Study
from trainables.config.trial import TrialConfig
from trainables.registry import ARCHITECTURES


def load_study(name_or_path: str, scale: str = DEFAULT_SCALE, overrides: Iterable[str] = ()) -> Study:
    """Read, merge and validate a study, without PyTorch; the arguments are those of `Draft`.

    Raises:
        UserError: On any mistake in the file or the overrides.
    """
    return _resolve(Draft(name_or_path, scale, overrides))


def _resolve(draft: Draft) -> Study:
    file = draft.file
    load_study_plugins(draft.source, file.plugins)
    _check_architectures(draft, file.architectures, ())
    for scale, spec in file.scales.items():
        _check_architectures(draft, spec.architectures, ("scales", scale))
    expansion, ablation, specs = _arms(draft)
    arms = tuple(
        Arm(name, spec.role, spec.note, config, _changes(draft, config, name, spec))
        for name, spec in specs.items()
        for config in (draft.config(name, spec),)
    )
    claims = with_arms(draft.claims, draft.source, specs)
    configs = {arm.name: arm.config for arm in arms}
    check_fields(claims, draft.source, configs)
    search = resolve_search(draft, configs, ablation)
    if ablation is not None:
        ablation = with_tuning(ablation, search, SectionReader(draft, "ablation").where("ablation", "retune"))
    return Study(
        name=file.study,
        scale=draft.scale,
        title=file.title,
        description=file.description,
        source=file.source,
        metric=file.metric,
        seeds=draft.seeds,
        arms=arms,
        grid=expansion,
        ablation=ablation,
        contrasts=tuple(file.contrasts),
        claims=claims,
        external=() if draft.overrides else tuple(draft.spec.external),
        resources=draft.resources,
        search=search,
        overrides=draft.overrides,
        override_texts=draft.override_texts,
        file=draft.source.path,
        scales=tuple(file.scales),
        plugin_files=tuple(file.plugins),
        locate_key=draft.source.locate,
    )


def _check_architectures(draft: Draft, names: Iterable[str], within: KeyPath) -> None:
    """Refuse fields for an architecture that does not exist: they would silently have no effect."""
    for name in names:
        try:
            ARCHITECTURES.get(name)
        except ValueError as error:
            key = (*within, "architectures", name)
            raise UserError(f"{draft.source.where(key)}: {'.'.join(map(str, key))}: {error}") from error


def _arms(draft: Draft) -> tuple[Expansion | None, AblationInfo | None, dict[str, ArmSpec]]:
    """Return the arms as written, then those of the grid and of the ablation, with what became of the two."""
    arms = dict(draft.file.arms)
    expansion = None
    if draft.file.grid is not None:

        def canonical(overlay: dict[str, Any], context: str) -> str:
            config = draft.validated(overlay, {}, context, [("grid",), ("grid", "fields")], "grid")
            return json.dumps(config.canonical(), sort_keys=True)

        expansion, made = expand(draft.file.grid, draft.source.where, canonical)
        for name in expansion.arms:
            if name in draft.file.arms:
                where = draft.source.where(("arms", name))
                raise UserError(f"{where}: arms.{name}: the grid makes an arm of this name too; rename one")
        arms |= made
    ablated = expand_ablation(draft, arms)
    ablation, made = ablated or (None, {})
    arms |= made
    draft.check_replicates(len(arms))
    if expansion or ablation:
        draft.check_arms(arms)
    return expansion, ablation, arms


def _changes(draft: Draft, config: TrialConfig, name: str, arm: ArmSpec) -> dict[str, Any]:
    """Return the fields that the arm sets, with their final values, without those that equal the base."""
    written = flatten(merge(draft.overlay(name, arm), draft.set_arms.get(name, {})))
    final, under = flatten(config.model_dump(mode="json")), flatten(draft.base)
    return {key: final.get(key, value) for key, value in written.items() if under.get(key) != final.get(key)}
