"""A resolved study: arms, seeds, contrasts, claims and resources at one scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.claims.claim import Claim
from analysis.records.ablation import AblationInfo
from sweeps.fields import KeyPath, Scale, results_key
from sweeps.studies.schema.study import Contrast, External, Role
from trainables.config.resources import ResourceConfig
from trainables.registry import Plugin

if TYPE_CHECKING:
    from sweeps.studies.search import StudySearch
    from trainables.config.trial import TrialConfig


@dataclass(frozen=True)
class Arm:
    """A named configuration of a resolved study."""

    name: str
    role: Role
    note: str
    config: TrialConfig
    changes: dict[str, Any]
    """Dotted fields in which the arm differs from the base."""


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
    """Counts of the grid, if the study has one; its arms are among `arms`."""
    ablation: AblationInfo | None
    """Which of the arms lack which components of another one; None: there is no ablation."""
    contrasts: tuple[Contrast, ...]
    claims: tuple[Claim, ...]
    external: tuple[External, ...]
    resources: ResourceConfig
    search: StudySearch | None
    """How the settings of some arms are searched for; None: nothing is."""
    overrides: dict[str, Any]
    override_texts: tuple[str, ...]
    """The overrides as they were typed."""
    file: Path
    scales: tuple[str, ...]
    """All scales that the file has."""
    plugin_files: tuple[str, ...]
    """The plugins as the file names them, relative to itself."""
    locate_key: Callable[[KeyPath], str | None] = field(repr=False, compare=False)
    """Returns where a key stands in the study's file, as `file:line`, for messages; None if it does not."""

    def where(self, *key: str, arm: str | None = None) -> str:
        """Return `file:line: key` of a field of the base, or of an arm, or the `--set` that set it."""
        dotted = ".".join(key)
        for override in (f"arms.{arm}.{dotted}", dotted):
            if override in self.overrides:
                return f"--set {override}"
        own = () if arm is None else (("scales", self.scale, "arms", arm), ("arms", arm))
        for root in (*own, ("scales", self.scale, "base"), ("base",), ("scales", self.scale), ()):
            if place := self.locate_key((*root, *key)):
                return f"{place}: {dotted}"
        return f"{self.file}: {dotted}"

    @property
    def baseline(self) -> Arm:
        """The arm that the others are compared with."""
        return next(arm for arm in self.arms if arm.role == "baseline")

    @property
    def compared_seeds(self) -> tuple[int, ...]:
        """The seeds that the arms are compared on: its own or, after a search, fresh ones, with looks the first."""
        return self.seeds if self.search is None else self.search.first_seeds

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The plugins that the arms use, each once."""
        return tuple(dict.fromkeys(plugin for arm in self.arms for plugin in arm.config.plugins.values()))

    @property
    def plugin_texts(self) -> dict[str, str]:
        """The text of every plugin file, by a file name that differs between versions."""
        return {f"{p.sha256[:12]}-{p.name}": p.source for p in self.plugins if p.kind == "file"}

    @property
    def results_key(self) -> str:
        """Name of its results folder: the scale, and a hash of the overrides that change configurations."""
        return results_key(self.scale, self.overrides)

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
            "ablation": asdict(self.ablation) if self.ablation else None,
            "claims": [claim.to_json() for claim in self.claims],
            "external": [external.model_dump() for external in self.external],
            "resources": self.resources.model_dump(mode="json"),
            "search": self.search.to_json() if self.search else None,
            "arms": {
                arm.name: {"role": arm.role, "note": arm.note, **arm.config.model_dump(mode="json")}
                for arm in self.arms
            },
        }


@dataclass(frozen=True)
class Expansion:
    """What became of a grid's points: each is an arm, unless it is forbidden or repeats another."""

    arms: tuple[str, ...]
    """Names of the arms."""
    num_points: int
    """Points of the design, with repeated and forbidden ones."""
    num_forbidden: int
    """Of those, points of forbidden combinations."""

    @property
    def num_repeats(self) -> int:
        """Points that compute the same as another one."""
        return self.num_points - self.num_forbidden - len(self.arms)

    def to_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return {
            "num_points": self.num_points,
            "num_repeats": self.num_repeats,
            "num_forbidden": self.num_forbidden,
            "num_arms": len(self.arms),
        }

    def describe(self) -> str:
        """Return the counts as text."""
        left_out = [f"{self.num_repeats} repeat others"] if self.num_repeats else []
        left_out += [f"{self.num_forbidden} are forbidden"] if self.num_forbidden else []
        of_which = f", of which {' and '.join(left_out)}" if left_out else ", all different"
        return f"{self.num_points} points{of_which}: {len(self.arms)} arms"
