"""A study file merged with a scale and `--set`; its arms are validated one by one, on demand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from sweeps.console import proposed
from sweeps.errors import UserError, first_few, nearest
from sweeps.fields import SECTIONS, KeyPath, check_scale, flatten, merge, nest, target_of
from sweeps.studies import grid
from sweeps.studies.catalogue import find
from sweeps.studies.claims import declared_claims
from sweeps.studies.overrides import parse_overrides
from sweeps.studies.schema.limits import MAX_REPLICATES, MAX_SEEDS
from sweeps.studies.schema.study import ArmOverlay, ArmSpec, StudyFile
from sweeps.studies.validation import explain_first
from sweeps.studies.yaml_file import YamlSource
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig
from trainables.schema import Schema

_SPACE_FIELDS = "space.fields."


class Draft:
    """A study file, a scale and overrides, merged; it knows where each field was written.

    Args:
        name_or_path: Library name or YAML path.
        scale: One of `SCALES`.
        overrides: `key=value` texts of `--set`; keys as `budget.steps`, `seeds`, `resources.cpus_per_trial`
            or `arms.<arm>.architecture.coupling`.

    Raises:
        UserError: On a mistake in the file or the overrides.
    """

    def __init__(self, name_or_path: str, scale: str, overrides: Iterable[str] = ()) -> None:
        self.scale = check_scale(scale)
        self.source = source = YamlSource.read(find(name_or_path))
        self.override_texts = tuple(overrides)
        self.overrides = parse_overrides(self.override_texts)
        if not isinstance(source.data, dict):
            raise UserError(f"{source.path}:1: a study is a mapping; see `{proposed('schema')}`")
        try:
            self.file = StudyFile.model_validate(source.data)
        except ValidationError as error:
            raise UserError(explain_first(error, StudyFile, source.where, data=source.data)) from error
        if self.scale not in self.file.scales:
            raise UserError(
                f"{source.where(('scales',))}: scales: study '{self.file.study}' has no scale '{scale}'; "
                f"known: {', '.join(self.file.scales)}"
            )
        self.spec = self.file.scales[self.scale]
        self.set_base, self.set_arms, self.set_study, self.set_sections = self._sort_overrides()
        self.seeds = self._seeds()
        self.resources = self._resources()
        self.claims = declared_claims(self.file, source)
        if self.file.grid is not None:
            self.check_replicates(len(self.file.arms) + grid.check(self.file.grid, source.where))
            return  # which arms there are depends on the values of architectures
        if not self.section("ablation"):
            self.check_arms(self.file.arms)
        self.check_replicates(len(self.file.arms))

    def _sort_overrides(
        self,
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, Any], dict[str, dict[str, Any]]]:
        """Split `--set` into fields of the base, of single arms, of the study itself, and of its other sections."""
        base: dict[str, Any] = {}
        arms: dict[str, dict[str, Any]] = {}
        study: dict[str, Any] = {}
        sections: dict[str, dict[str, Any]] = {}
        for key, value in self.overrides.items():
            match target_of(key):
                case "base":
                    base = merge(base, nest(key, value))
                case "arm":
                    _, arm, field = key.split(".", 2)
                    arms[arm] = merge(arms.get(arm, {}), nest(field, value))
                case "study":
                    study = merge(study, nest(key, value))
                case "section" if key.startswith(_SPACE_FIELDS):  # the name of a field has dots itself
                    fields = {key.removeprefix(_SPACE_FIELDS): value}
                    sections = merge(sections, {"space": {"fields": fields}})
                case "section":
                    sections = merge(sections, nest(key, value))
        return base, arms, study, sections

    def section(self, name: str) -> dict[str, Any]:
        """Return a section merged from the study, the scale and `--set`; empty if it is written nowhere."""
        section: Schema | None = getattr(self.file, name)
        merged = {} if section is None else section.model_dump(exclude_unset=True)
        scaled: dict[str, Any] = getattr(self.spec, name)
        return merge(merge(merged, scaled), self.set_sections.get(name, {}))

    def _written_seeds(self) -> tuple[str, Any]:
        """Return where the seeds are written, and what is written there."""
        if "seeds" in self.set_study:
            return "--set seeds", self.set_study["seeds"]
        if self.spec.seeds is not None:
            return self.source.where(("scales", self.scale, "seeds")), self.spec.seeds
        return self.source.where(("seeds",)), self.file.seeds

    def _seeds(self) -> tuple[int, ...]:
        where, value = self._written_seeds()
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

    def check_replicates(self, num_arms: int) -> None:
        """Refuse more replicates than can be planned, before an arm is made.

        Args:
            num_arms: The most arms that the study may have.

        Raises:
            UserError: If there are too many.
        """
        replicates = num_arms * len(self.seeds)
        if replicates > MAX_REPLICATES:
            where, _ = self._written_seeds()
            lower = "the seeds" if self.file.grid is None else "the seeds, or the values of the grid's fields"
            raise UserError(
                f"{where}: {len(self.seeds)} seeds of {num_arms} arms are {replicates} replicates; at most "
                f"{MAX_REPLICATES} are planned; lower {lower}"
            )

    def _resources(self) -> ResourceConfig:
        merged = merge(merge(self.file.resources, self.spec.resources), self.set_study.get("resources", {}))
        try:
            return ResourceConfig.model_validate(merged)
        except ValidationError as error:
            roots: list[KeyPath] = [("scales", self.scale, "resources"), ("resources",)]
            where = self._where_in(roots, "resources")
            text = explain_first(error, ResourceConfig, where, data=merged, prefix=("resources",))
            raise UserError(text) from error

    def check_arms(self, arms: Mapping[str, ArmSpec]) -> None:
        """Refuse names that match none of the study's arms, overrides without effect, and more baselines than one.

        Raises:
            UserError: If there is one.
        """
        for key in self.overrides:
            head, *rest = key.split(".")
            if head == "arms":
                _known_arm(rest[0], f"--set {key}", arms)
        for scale, spec in self.file.scales.items():
            for name in spec.arms:
                _known_arm(name, self.source.where(("scales", scale, "arms", name)), arms)
        for index, contrast in enumerate(self.file.contrasts):
            for key in ("arm", "against"):
                _known_arm(getattr(contrast, key), self.source.where(("contrasts", index, key)), arms)
        for key in self.overrides:
            if key.partition(".")[0] in SECTIONS:
                self._refuse_masked(key, arms)
        baselines = [name for name, arm in arms.items() if arm.role == "baseline"]
        if len(baselines) != 1:
            raise UserError(
                f"{self.source.where(('arms',))}: exactly one arm needs `role: baseline`; "
                f"found {', '.join(baselines) or 'none'}"
            )

    def _refuse_masked(self, key: str, arms: Mapping[str, ArmSpec]) -> None:
        """Refuse a base override of a field that an arm sets itself: it would silently not apply to that arm."""
        masking = [name for name, arm in arms.items() if key in flatten(self.overlay(name, arm))]
        if masking:
            raise UserError(
                f"--set {key}: arms {first_few(masking, most=5)} set this field themselves; "
                f"write --set arms.{masking[0]}.{key}=… to change one of them"
            )

    def overlay(self, name: str, arm: ArmSpec) -> dict[str, Any]:
        """Return what an arm changes of the base, at this scale."""
        scaled = self.spec.arms.get(name, ArmOverlay()).as_overlay()
        return merge(arm.as_overlay(), scaled)

    @cached_property
    def base(self) -> dict[str, Any]:
        """What all arms share."""
        return merge(merge(self.file.base.as_overlay(), self.spec.base.as_overlay()), self.set_base)

    def config(self, name: str, arm: ArmSpec) -> TrialConfig:
        """Merge and validate the configuration of an arm.

        Raises:
            UserError: If a field is not valid.
        """
        root: list[KeyPath] = [("arms", name)] if name in self.file.arms else [("grid",), ("grid", "fields")]
        roots: list[KeyPath] = [("scales", self.scale, "arms", name), *root]
        given = self.set_arms.get(name, {})
        return self.validated(self.overlay(name, arm), given, f"arm '{name}'", roots, f"arms.{name}")

    def validated(
        self,
        overlay: dict[str, Any],
        set_arm: dict[str, Any],
        context: str,
        roots: list[KeyPath],
        set_prefix: str,
    ) -> TrialConfig:
        """Merge and validate; `roots` are the keys under which the overlay was written, innermost first.

        Raises:
            UserError: If a field is not valid.
        """
        architecture = merge(self.base, overlay).get("architecture", {}).get("name")
        architecture = architecture if isinstance(architecture, str) else ""  # validation will report it
        shared = merge(self.file.architectures.get(architecture, {}), self.spec.architectures.get(architecture, {}))
        merged: dict[str, Any] = {}
        for layer in (self.base, {"architecture": shared}, self.set_base, overlay, set_arm):
            merged = merge(merged, layer)
        try:
            return TrialConfig.model_validate(merged)
        except ValidationError as error:
            scale = ("scales", self.scale)
            families: list[KeyPath] = [(*scale, "architectures", architecture), ("architectures", architecture)]
            where = self._where_in([*roots, (*scale, "base"), ("base",)], set_prefix, families)
            raise UserError(explain_first(error, TrialConfig, where, data=merged, context=context)) from error

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
                candidates += [(*root, *key), (*root, dotted)]
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


def _known_arm(name: str, where: str, arms: Collection[str]) -> None:
    if name not in arms:
        raise UserError(f"{where}: no arm '{name}'; {nearest(name, arms)}")
