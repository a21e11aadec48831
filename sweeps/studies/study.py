"""Studies: YAML files that say which arms run on which task with which seeds, at four scales."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from analysis.claims.claim import Claim
from sweeps.fields import KeyPath, Scale, results_key
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig
from trainables.registry import Plugin
from trainables.schema import Schema


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
    file: Path
    scales: tuple[str, ...]
    """All scales that the file has."""
    plugin_files: tuple[str, ...]
    """The plugins as the file names them, relative to itself."""
    locate: Callable[[KeyPath], str | None] = field(repr=False, compare=False)
    """Gives `file:line` of a key of the file; None of one that it does not have."""

    def where(self, *key: str, arm: str | None = None) -> str:
        """Return `file:line: key` of a field of the base, or of an arm, or the `--set` that gave it."""
        dotted = ".".join(key)
        for override in (f"arms.{arm}.{dotted}", dotted):
            if override in self.overrides:
                return f"--set {override}"
        own = () if arm is None else (("scales", self.scale, "arms", arm), ("arms", arm))
        for root in (*own, ("scales", self.scale, "base"), ("base",), ("scales", self.scale), ()):
            if place := self.locate((*root, *key)):
                return f"{place}: {dotted}"
        return f"{self.file}: {dotted}"

    @property
    def baseline(self) -> Arm:
        """The arm that the others are compared with."""
        return next(arm for arm in self.arms if arm.role == "baseline")

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The plugins that the arms use, each once."""
        return tuple(dict.fromkeys(plugin for arm in self.arms for plugin in arm.config.plugins.values()))

    @property
    def plugin_texts(self) -> dict[str, str]:
        """The text of every plugin file, by a file name that tells versions apart."""
        return {f"{p.sha256[:12]}-{p.name}": p.source for p in self.plugins if p.kind == "file"}

    @property
    def results_key(self) -> str:
        """Name of the folder of its results: the scale, and a hash of what makes other configurations."""
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
            "claims": [claim.to_json() for claim in self.claims],
            "external": [external.model_dump() for external in self.external],
            "resources": self.resources.model_dump(mode="json"),
            "arms": {
                arm.name: {"role": arm.role, "note": arm.note, **arm.config.model_dump(mode="json")}
                for arm in self.arms
            },
        }


@dataclass(frozen=True)
class Expansion:
    """What a grid came to."""

    arms: tuple[str, ...]
    """Their names."""
    num_points: int
    """Points of the design, before anything was left out."""
    num_forbidden: int
    """Of those, points of forbidden combinations."""

    @property
    def num_repeats(self) -> int:
        """Points that compute what another point computes already."""
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
        """Return the count in words."""
        left_out = [f"{self.num_repeats} repeat others"] if self.num_repeats else []
        left_out += [f"{self.num_forbidden} are forbidden"] if self.num_forbidden else []
        of_which = f", of which {' and '.join(left_out)}" if left_out else ", all different"
        return f"{self.num_points} points{of_which}: {len(self.arms)} arms"


Role = Literal["baseline", "treatment", "control", "prerequisite"]
"""A prerequisite is trained for others to start with; no study writes it."""
