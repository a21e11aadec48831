"""The `ablation:` of a study: arms that lack components of another arm, by a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from analysis.records.ablation import AblationInfo
from search_spaces.designs import ablation, ablation_resolution
from sweeps.errors import UserError, nearest
from sweeps.fields import SECTIONS, KeyPath, flatten, merge, nest
from sweeps.studies.schema.ablation import AblationSpec
from sweeps.studies.schema.study import ArmSpec
from sweeps.studies.sections import SectionReader

if TYPE_CHECKING:
    from sweeps.studies.draft import Draft
    from sweeps.studies.search import StudySearch

MAX_POINTS = 1000


def expand_ablation(draft: Draft, arms: Mapping[str, ArmSpec]) -> tuple[AblationInfo, dict[str, ArmSpec]] | None:
    """Make the arms of a study's ablation; return it with them, or None if there is none.

    Args:
        draft: The study.
        arms: Its arms so far, by name.

    Raises:
        UserError: On a mistake in the section; the message names file, line and fix.
    """
    return _Expander(draft, arms).expansion() if draft.section("ablation") else None


def path_of(draft: Draft) -> str:
    """Return the arm from whose own settings a path leads to its winner; empty if the study has none.

    Raises:
        UserError: If the section is not valid.
    """
    if draft.section("ablation").get("design") != "path":
        return ""
    return SectionReader(draft, fallback="ablation").read("ablation", AblationSpec).around


def with_tuning(info: AblationInfo, search: StudySearch | None, where: str) -> AblationInfo:
    """Return an ablation that knows whether the settings of its arms are searched for.

    Args:
        info: The ablation.
        search: The study's search, if it has one.
        where: Place of `ablation.retune`, for messages.

    Raises:
        UserError: If its arms are to be tuned, and nothing of them is searched for.
    """
    is_searched = search is not None and search.space_of(info.around) is not None
    if info.tuning == "each" and not is_searched:
        raise UserError(
            f"{where}: no settings of arm '{info.around}' are searched for; say which under space.fields"
        )
    return replace(info, tuning="winner") if is_searched and info.tuning == "declared" else info


class _Expander:
    def __init__(self, draft: Draft, arms: Mapping[str, ArmSpec]) -> None:
        self._draft, self._arms = draft, arms
        self._sections = SectionReader(draft, fallback="ablation")
        self._spec = self._sections.read("ablation", AblationSpec)
        around = self._spec.around
        if around not in arms:
            raise self._error(("around",), f"no arm '{around}'; {nearest(around, arms)}")
        self._whole = merge(draft.overlay(around, arms[around]), draft.set_arms.get(around, {}))
        self._off = {
            name: self._nested(one.off, ("components", name, "off")) for name, one in self._spec.components.items()
        }
        self._made: dict[str, ArmSpec] = {}
        self._settings: dict[str, dict[str, Any]] = {}

    def expansion(self) -> tuple[AblationInfo, dict[str, ArmSpec]] | None:
        spec, components = self._spec, tuple(self._spec.components)
        if spec.design == "path":
            self._check_path()
            return None
        if not components:
            raise self._error(("components",), "what is taken away? name each component, with the fields of `off`")
        self._check_fields()
        with self._sections.located("ablation", "design"):
            points = ablation(spec.design, components, resolution=spec.resolution, at_most=MAX_POINTS)
        arms = {self._arm(present): present for present in points}
        for name, settings in spec.placebo.items():
            note = f"placebo of {spec.around}"
            self._add(name, self._nested(settings, ("placebo", name)), "control", note, [("placebo", name)])
        info = AblationInfo(
            around=spec.around,
            design=spec.design,
            resolution=ablation_resolution(spec.design, len(components), spec.resolution),
            components=components,
            arms=arms,
            placebos=tuple(spec.placebo),
            tuning="each" if spec.retune else "declared",
            settings=self._settings,
        )
        return info, self._made

    def _check_path(self) -> None:
        for key in ("components", "placebo", "retune", "resolution"):
            if getattr(self._spec, key):
                raise self._error((key,), "a path goes through the fields of the space, and takes no other key")

    def _arm(self, present: tuple[str, ...]) -> str:
        """Add the arm that has these components, unless it is the whole; return its name."""
        missing = [name for name in self._spec.components if name not in present]
        if not missing:
            return self._spec.around
        name = "_no_".join([self._spec.around, *missing])
        overlay: dict[str, Any] = {}
        for each in missing:
            overlay = merge(overlay, self._off[each])
        note = f"{self._spec.around} without {', '.join(missing)}"
        self._add(name, overlay, "treatment", note, [("components", each, "off") for each in missing])
        return name

    def _add(
        self,
        name: str,
        changes: dict[str, Any],
        role: Literal["treatment", "control"],
        note: str,
        roots: list[KeyPath],
    ) -> None:
        if name in self._arms or name in self._made:
            raise self._error(roots[0], f"the study has an arm '{name}' already; rename one")
        overlay = merge(self._whole, changes)
        self._settings[name] = flatten(changes)
        self._made[name] = ArmSpec.model_validate({**overlay, "role": role, "note": note})
        around = f"arms.{self._spec.around}"
        whole: list[KeyPath] = [("arms", self._spec.around), ("grid",), ("grid", "fields")]
        found: list[KeyPath] = [("ablation", *root) for root in roots]
        # A mistake is told here, where it is known which component it is in.
        self._draft.validated(overlay, {}, f"arm '{name}'", [*found, *whole], around)

    def _nested(self, settings: Mapping[str, Any], key: KeyPath) -> dict[str, Any]:
        overlay: dict[str, Any] = {}
        for field, value in settings.items():
            if field.partition(".")[0] not in SECTIONS or "." not in field:
                valid = ", ".join(f"{section}.<field>" for section in SECTIONS)
                raise self._error((*key, field), f"no field of a configuration; write {valid}")
            overlay = merge(overlay, nest(field, value))
        return overlay

    def _check_fields(self) -> None:
        """Refuse a field in two components: what it is without both would depend on their order."""
        owners: dict[str, str] = {}
        for name, component in self._spec.components.items():
            for field in component.off:
                for other, owner in owners.items():
                    within = field == other or field.startswith(f"{other}.") or other.startswith(f"{field}.")
                    if within and owner != name:
                        message = f"component '{owner}' sets {other} too; make one component of the two"
                        raise self._error(("components", name, "off", field), message)
                owners[field] = name

    def _error(self, key: KeyPath, message: str) -> UserError:
        return UserError(f"{self._sections.where('ablation', *key)}: {message}")
