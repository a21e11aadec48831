"""The section `ablation` of a study, as it is written."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from search_spaces.designs import MIN_RESOLUTION
from sweeps.studies.schema.names import Name
from trainables.schema import Schema

AblationDesign = Literal["leave_one_out", "base_plus_one", "pairs", "full_factorial", "fractional", "path"]

Settings = Annotated[dict[str, Any], Field(min_length=1)]
"""Dotted fields of a trial's configuration, such as `architecture.coupling`, with their values."""


class ComponentSpec(Schema):
    """A part of the model that is taken away: one field or several, which change together."""

    off: Settings
    """What is set without the component; with it, the fields are as in the arm."""


class AblationSpec(Schema):
    """Arms that lack components of another arm, to find what each component is worth."""

    around: str
    """The arm that has all components; where its settings are searched for, its winner."""
    retune: bool = False
    """Of an arm whose settings are searched for: each arm of the ablation gets a search of its own, with the same
    budget, over the fields that its components leave; winners are compared. Otherwise the arms are the winner's
    without components."""
    design: AblationDesign = "fractional"
    """`fractional`: a share of all combinations, which shows every component's effect and, at resolution 5, every
    interaction of two. `full_factorial`: all combinations. `pairs`: the whole without each component and each two.
    `leave_one_out`: the whole without each. `base_plus_one`: nothing, and each component alone. `path`: from the
    own settings of an arm to those that its search finds, one field at a time, the best next."""
    resolution: int | None = Field(None, ge=MIN_RESOLUTION)
    """Of a fractional design: any `resolution` - 1 components appear in all their combinations equally often. By
    default 5 for up to six components and 4 for more."""
    components: dict[Name, ComponentSpec] = Field({}, min_length=1)
    """By name; only a path has none."""
    placebo: dict[Name, Settings] = {}
    """Control arms by name: the whole arm with other settings, such as as many parameters without the mechanism."""
