"""From a study file, a scale and `--set` to a study with every field resolved and validated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError

from sweeps.console import proposed
from sweeps.errors import UserError, first_few, nearest
from sweeps.fields import DEFAULT_SCALE, SECTIONS, KeyPath, Scale, check_scale, flatten, merge, nest, target_of
from sweeps.studies.catalogue import find
from sweeps.studies.claims import read_claims
from sweeps.studies.grid import expand
from sweeps.studies.overrides import parse_overrides
from sweeps.studies.plugins import load_study_plugins
from sweeps.studies.schema import ArmOverlay, ArmSpec, StudyFile
from sweeps.studies.study import Arm, Expansion, Study
from sweeps.studies.validation import explain_first
from sweeps.studies.yaml_file import YamlSource
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig
from trainables.registry import ARCHITECTURES

MAX_SEEDS = 10_000


def load_study(name_or_path: str, scale: str = DEFAULT_SCALE, overrides: Iterable[str] = ()) -> Study:
    """Read, merge and validate a study.

    Args:
        name_or_path: Library name or YAML path.
        scale: One of `SCALES`.
        overrides: `key=value` texts of `--set`; keys as `budget.steps`, `seeds`, `resources.cpus_per_trial`
            or `arms.<arm>.architecture.coupling`.

    Raises:
        UserError: On any mistake in the file or the overrides.
    """
    chosen = check_scale(scale)
    source = YamlSource.read(find(name_or_path))
    return _Resolver(source, chosen, overrides).study()


class _Resolver:
    """Merges a study file, a scale and overrides, and keeps track of where each field was written."""

    def __init__(self, source: YamlSource, scale: Scale, override_texts: Iterable[str]) -> None:
        self.source, self.scale = source, scale
        self.override_texts = tuple(override_texts)
        self.overrides = parse_overrides(self.override_texts)
        if not isinstance(source.data, dict):
            raise UserError(f"{source.path}:1: a study is a mapping; see `{proposed('schema')}`")
        try:
            self.file = StudyFile.model_validate(source.data)
        except ValidationError as error:
            raise UserError(explain_first(error, StudyFile, source.where, data=source.data)) from error
        load_study_plugins(source, self.file.plugins)
        if scale not in self.file.scales:
            raise UserError(
                f"{source.where(('scales',))}: scales: study '{self.file.study}' has no scale '{scale}'; "
                f"known: {', '.join(self.file.scales)}"
            )
        self.spec = self.file.scales[scale]
        self.set_base, self.set_arms, self.set_study = self._sort_overrides()
        self.grid, grid_arms = self._grid()
        self.arms: dict[str, ArmSpec] = {**self.file.arms, **grid_arms}
        self._check_names()
        for key in self.overrides:
            if key.partition(".")[0] in SECTIONS:
                self._refuse_masked(key)

    def _sort_overrides(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, Any]]:
        """Split `--set` into fields of the base, of single arms, and of the study itself."""
        base: dict[str, Any] = {}
        arms: dict[str, dict[str, Any]] = {}
        study: dict[str, Any] = {}
        for key, value in self.overrides.items():
            match target_of(key):
                case "base":
                    base = merge(base, nest(key, value))
                case "arm":
                    _, arm, field = key.split(".", 2)
                    arms[arm] = merge(arms.get(arm, {}), nest(field, value))
                case "study":
                    study = merge(study, nest(key, value))
        return base, arms, study

    def _grid(self) -> tuple[Expansion | None, dict[str, ArmSpec]]:
        if self.file.grid is None:
            return None, {}

        def canonical(overlay: dict[str, Any], context: str) -> str:
            config = self._config(overlay, {}, context, [("grid",)], "grid")
            return json.dumps(config.canonical(), sort_keys=True)

        return expand(self.file.grid, self.source.where, canonical)

    def _check_names(self) -> None:
        """Refuse names that match no arm, or two."""
        for name in self.grid.arms if self.grid else ():
            if name in self.file.arms:
                where = self.source.where(("arms", name))
                raise UserError(f"{where}: arms.{name}: the grid makes an arm of this name too; rename one")
        for key in self.overrides:
            head, *rest = key.split(".")
            if head == "arms":
                self._known_arm(rest[0], f"--set {key}")
        self._check_architectures(self.file.architectures, ())
        for scale, spec in self.file.scales.items():
            self._check_architectures(spec.architectures, ("scales", scale))
            for name in spec.arms:
                self._known_arm(name, self.source.where(("scales", scale, "arms", name)))
        for index, contrast in enumerate(self.file.contrasts):
            for key in ("arm", "against"):
                self._known_arm(getattr(contrast, key), self.source.where(("contrasts", index, key)))

    def _check_architectures(self, names: Iterable[str], within: KeyPath) -> None:
        """Refuse fields for an architecture that does not exist: they would silently have no effect."""
        for name in names:
            try:
                ARCHITECTURES.get(name)
            except ValueError as error:
                key = (*within, "architectures", name)
                raise UserError(f"{self.source.where(key)}: {'.'.join(map(str, key))}: {error}") from error

    def _refuse_masked(self, key: str) -> None:
        """Refuse a base override of a field that an arm sets itself: it would silently not apply to that arm."""
        masking = [name for name in self.arms if key in flatten(self._arm_overlay(name))]
        if masking:
            raise UserError(
                f"--set {key}: arms {first_few(masking, most=5)} set this field themselves; "
                f"write --set arms.{masking[0]}.{key}=… to change one of them"
            )

    def _known_arm(self, name: str, where: str) -> None:
        if name not in self.arms:
            raise UserError(f"{where}: no arm '{name}'; {nearest(name, self.arms)}")

    def _arm_overlay(self, name: str) -> dict[str, Any]:
        scaled = self.spec.arms.get(name, ArmOverlay()).as_overlay()
        return merge(self.arms[name].as_overlay(), scaled)

    def study(self) -> Study:
        """Return the resolved study."""
        baselines = [name for name, arm in self.arms.items() if arm.role == "baseline"]
        if len(baselines) != 1:
            raise UserError(
                f"{self.source.where(('arms',))}: exactly one arm needs `role: baseline`; "
                f"found {', '.join(baselines) or 'none'}"
            )
        arms = tuple(self._arm(name) for name in self.arms)
        return Study(
            name=self.file.study,
            scale=self.scale,
            title=self.file.title,
            description=self.file.description,
            source=self.file.source,
            metric=self.file.metric,
            seeds=self._seeds(),
            arms=arms,
            grid=self.grid,
            contrasts=tuple(self.file.contrasts),
            claims=read_claims(self.file, self.source, arms),
            external=() if self.overrides else tuple(self.spec.external),
            resources=self._resources(),
            overrides=self.overrides,
            override_texts=self.override_texts,
            file=self.source.path,
            scales=tuple(self.file.scales),
            plugin_files=tuple(self.file.plugins),
            locate=self.source.locate,
        )

    def _seeds(self) -> tuple[int, ...]:
        if "seeds" in self.set_study:
            where, value = "--set seeds", self.set_study["seeds"]
        elif self.spec.seeds is not None:
            where, value = self.source.where(("scales", self.scale, "seeds")), self.spec.seeds
        else:
            where, value = self.source.where(("seeds",)), self.file.seeds
        if type(value) is int and value > MAX_SEEDS:
            raise UserError(f"{where}: {value} seeds are too many; at most {MAX_SEEDS} are run")
        seeds = list(range(value)) if type(value) is int else value
        valid = isinstance(seeds, list) and bool(seeds)
        valid = valid and all(type(seed) is int and seed >= 0 for seed in seeds)
        if not valid or len(set(seeds)) != len(seeds):
            raise UserError(
                f"{where}: seeds must be a count of at least 1, or a list of different integers of at least 0; "
                f"got {value}"
            )
        return tuple(seeds)

    def _resources(self) -> ResourceConfig:
        merged = merge(merge(self.file.resources, self.spec.resources), self.set_study.get("resources", {}))
        try:
            return ResourceConfig.model_validate(merged)
        except ValidationError as error:
            roots: list[KeyPath] = [("scales", self.scale, "resources"), ("resources",)]
            where = self._where_in(roots, "resources")
            text = explain_first(error, ResourceConfig, where, data=merged, prefix=("resources",))
            raise UserError(text) from error

    def _arm(self, name: str) -> Arm:
        overlay = self._arm_overlay(name)
        root: KeyPath = ("grid",) if name not in self.file.arms else ("arms", name)
        roots: list[KeyPath] = [("scales", self.scale, "arms", name), root]
        config = self._config(overlay, self.set_arms.get(name, {}), f"arm '{name}'", roots, f"arms.{name}")
        spec = self.arms[name]
        return Arm(name, spec.role, spec.note, config, self._changes(config, overlay, name))

    def _base(self) -> dict[str, Any]:
        return merge(merge(self.file.base.as_overlay(), self.spec.base.as_overlay()), self.set_base)

    def _config(
        self, overlay: dict[str, Any], set_arm: dict[str, Any], context: str, roots: list[KeyPath], set_prefix: str
    ) -> TrialConfig:
        """Merge and validate; `roots` are the keys under which the overlay was written, innermost first."""
        base = self._base()
        architecture = merge(base, overlay).get("architecture", {}).get("name")
        architecture = architecture if isinstance(architecture, str) else ""  # validation will report it
        shared = merge(self.file.architectures.get(architecture, {}), self.spec.architectures.get(architecture, {}))
        merged: dict[str, Any] = {}
        for layer in (base, {"architecture": shared}, self.set_base, overlay, set_arm):
            merged = merge(merged, layer)
        try:
            return TrialConfig.model_validate(merged)
        except ValidationError as error:
            scale = ("scales", self.scale)
            families: list[KeyPath] = [(*scale, "architectures", architecture), ("architectures", architecture)]
            where = self._where_in([*roots, (*scale, "base"), ("base",)], set_prefix, families)
            text = explain_first(error, TrialConfig, where, data=merged, context=context)
            raise UserError(text) from error

    def _changes(self, config: TrialConfig, overlay: dict[str, Any], name: str) -> dict[str, Any]:
        """Return the fields that the arm sets, with their final values, without those that equal the base."""
        written = flatten(merge(overlay, self.set_arms.get(name, {})))
        final, under = flatten(config.model_dump(mode="json")), flatten(self._base())
        return {key: final.get(key, value) for key, value in written.items() if under.get(key) != final.get(key)}

    def _where_in(
        self, roots: list[KeyPath], set_prefix: str, families: Iterable[KeyPath] = ()
    ) -> Callable[[KeyPath], str]:
        """Return a function that returns where a field of the merged configuration was written."""

        def written(key: KeyPath) -> str | None:
            dotted = ".".join(str(part) for part in key)
            for candidate in (dotted, f"{set_prefix}.{dotted}"):
                if candidate in self.overrides:
                    return f"--set {candidate}"
            candidates: list[KeyPath] = []
            for root in roots:
                candidates += [(*root, *key), *([(*root, "fields", dotted)] if root == ("grid",) else [])]
            if key and key[0] == "architecture":
                candidates += [(*root, *key[1:]) for root in families]
            return next(filter(None, map(self.source.locate, candidates)), None)

        def where(key: KeyPath) -> str:
            # A field that is written nowhere is a default: the innermost part that contains it is named instead.
            for length in range(len(key), -1, -1):
                found = written(key[:length])
                if found is not None:
                    return found
            return self.source.where(roots[-1])

        return where
