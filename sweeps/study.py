"""Studies: YAML files that say which arms run on which task with which seeds, at four scales."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from analysis.claims import Claim
from sweeps.errors import UserError, nearest
from sweeps.grid import Expansion, GridSpec
from sweeps.sections import ArmOverlay, ArmSpec, Role, Sections
from sweeps.yaml_source import YamlSource
from trainables.config import ResourceConfig, TrialConfig
from trainables.plugins import Plugin
from trainables.schema import Schema

Scale = Literal["smoke", "laptop", "gpu", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "laptop", "gpu", "paper")
DEFAULT_SCALE: Scale = "laptop"


class Contrast(Schema):
    """A planned comparison of two arms beside those with the baseline."""

    arm: str
    against: str
    meaning: str
    """What the difference `arm` − `against` is the size of."""


class External(Schema):
    """Values somebody else measured, that the baseline must agree with."""

    name: str
    metric: str
    values: list[float] = Field(min_length=2)
    """One value a seed of theirs."""
    source: str


class ScaleSpec(Schema):
    """What a scale changes of the study."""

    note: str = ""
    seeds: int | list[int] | None = None
    base: Sections = Sections()
    architectures: dict[str, dict[str, Any]] = {}
    arms: dict[str, ArmOverlay] = {}
    external: list[External] = []
    resources: dict[str, Any] = {}


class StudyFile(Schema):
    """A study as written.

    Fields are merged in this order, later ones winning: `base`, the scale's `base`, `architectures.<name>`
    (fields shared by all arms of that architecture), the scale's `architectures.<name>`, the arm, the
    scale's arm, `--set`.
    """

    format_version: Literal[1]
    study: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    description: str = ""
    source: str = ""
    metric: str | None = None
    """Metric of the results table; by default the task's own."""
    plugins: list[str] = []
    """Python files with architectures and tasks of your own, relative to this file."""
    seeds: int | list[int]
    """A number n stands for the seeds 0 … n-1. All arms share the seeds."""
    base: Sections
    architectures: dict[str, dict[str, Any]] = {}
    arms: dict[str, ArmSpec] = {}
    grid: GridSpec | None = None
    """More arms, made from a design over fields."""
    contrasts: list[Contrast] = []
    claims: dict[str, dict[str, Any]] = {}
    """Statements to be settled, by id; fields and kinds are those of `analysis.claims`."""
    resources: dict[str, Any] = {}
    scales: dict[Scale, ScaleSpec]


@dataclass(frozen=True)
class Arm:
    """A named configuration of a resolved study."""

    name: str
    role: Role
    note: str
    config: TrialConfig
    changes: dict[str, Any]
    """Dotted fields in which the arm departs from the base."""


@dataclass(frozen=True)
class Study:
    """A study at one scale, with every field resolved and validated."""

    name: str
    scale: Scale
    title: str
    description: str
    source: str
    metric: str | None
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    grid: Expansion | None
    """What the grid came to, if the study has one; its arms are among `arms`."""
    contrasts: tuple[Contrast, ...]
    claims: tuple[Claim, ...]
    external: tuple[External, ...]
    resources: ResourceConfig
    overrides: dict[str, Any]
    override_texts: tuple[str, ...]
    """The overrides as they were typed."""
    yaml: YamlSource

    def where(self, *key: str, arm: str | None = None) -> str:
        """Return `file:line: key` of a field of the base, or of an arm, or the `--set` that gave it."""
        dotted = ".".join(key)
        for override in (f"arms.{arm}.{dotted}", dotted):
            if override in self.overrides:
                return f"--set {override}"
        own = () if arm is None else (("scales", self.scale, "arms", arm), ("arms", arm))
        for root in (*own, ("scales", self.scale, "base"), ("base",), ("scales", self.scale), ()):
            if self.yaml.has((*root, *key)):
                return f"{self.yaml.where((*root, *key))}: {dotted}"
        return f"{self.yaml.path}: {dotted}"

    @property
    def baseline(self) -> Arm:
        """The arm that the others are compared with."""
        return next(arm for arm in self.arms if arm.role == "baseline")

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The plugins that the arms use, each once."""
        return tuple(dict.fromkeys(plugin for arm in self.arms for plugin in arm.config.plugins.values()))

    @property
    def folder_name(self) -> str:
        """`<scale>`, with a hash of the overrides if there are any: other settings, other folder."""
        if not self.overrides:
            return self.scale
        text = json.dumps(self.overrides, sort_keys=True)
        return f"{self.scale}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def resolved(self) -> dict[str, Any]:
        """Return the resolved study as it is written to the results folder."""
        return {
            "format_version": 1,
            "study": self.name,
            "scale": self.scale,
            "title": self.title,
            "source": self.source,
            "metric": self.metric,
            "plugins": [plugin.describe() for plugin in self.plugins],
            "seeds": list(self.seeds),
            "overrides": self.overrides,
            "contrasts": [contrast.model_dump() for contrast in self.contrasts],
            "grid": self.grid.to_json() if self.grid else None,
            "claims": [claim.to_json() for claim in self.claims],
            "external": [external.model_dump() for external in self.external],
            "resources": self.resources.model_dump(mode="json"),
            "arms": {
                arm.name: {"role": arm.role, "note": arm.note, **arm.config.model_dump(mode="json")}
                for arm in self.arms
            },
        }


def library() -> dict[str, Path]:
    """Return the studies that come with phasesweep, by name."""
    folder = resources.files("sweeps.studies")
    paths = (Path(str(item)) for item in folder.iterdir() if item.name.endswith(".yaml"))
    return {path.stem: path for path in sorted(paths)}


def find(name_or_path: str) -> Path:
    """Return the file of a study given by path or by name: of the library, then of installed packages.

    Raises:
        UserError: If there is no such study.
    """
    known = library()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or "/" in name_or_path:
        if path.is_file():
            return path
        raise UserError(f"no study file {path} (looked in {Path.cwd()})")
    from sweeps.installed_studies import find_installed, installed_studies

    installed = find_installed(name_or_path)
    if installed is not None:
        return installed
    names = [*known, *(study.name for study in installed_studies())]
    raise UserError(f"unknown study '{name_or_path}'; {nearest(name_or_path, names)} (or give a .yaml path)")


def check_scale(scale: str) -> Scale:
    """Return `scale` if it is one.

    Raises:
        UserError: If it is not.
    """
    for known in SCALES:
        if scale == known:
            return known
    raise UserError(f"unknown scale '{scale}'; {nearest(scale, SCALES)}")
