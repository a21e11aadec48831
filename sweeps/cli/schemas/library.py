"""Types of what `studies`, `families` and `spaces` print with `--json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on only

from sweeps.cli.schemas.planning import Positive, Text
from sweeps.fields import Scale


class StudyRow(TypedDict):
    """A study that `studies` lists."""

    study: str
    package: str | None
    """The package that brings it; null: phasesweep itself."""
    title: str
    scales: Annotated[list[Scale], Field(min_length=1)]
    num_arms: Positive | None
    """Null with a grid: only resolving the study finds which of its points are arms."""
    max_arms: Positive
    """Arms that are written, and points of the grid."""


class FamilyProbe(TypedDict):
    """A number that models of a family measure of themselves, such as an order parameter."""

    name: Text
    unit: Text
    meaning: Text
    null: Text | None
    """The probe that holds its value in a model without structure."""


class FamilyEntry(TypedDict):
    """An architecture or a task."""

    version: Positive
    """Part of every config_id."""
    meaning: Text
    fields: dict[str, dict[str, Any]]
    """A JSON Schema of each field."""
    probes: list[FamilyProbe]


class Families(TypedDict):
    """What can be named in a study, with its fields."""

    architecture: Annotated[dict[str, FamilyEntry], Field(min_length=1)]
    task: Annotated[dict[str, FamilyEntry], Field(min_length=1)]


class SpaceDimension(TypedDict):
    """A field that a search may vary."""

    name: str
    """A dotted field, or a field of the family's own."""
    kind: Literal["real", "log_real", "integer", "choice", "constant"]
    low: float | None
    """Smallest value, included; null for a choice."""
    high: float | None
    """Largest value, included; null for a choice."""
    options: Annotated[list[Any], Field(min_length=1)] | None
    """The values of a choice."""
    unit: str
    """Empty for a pure number or a name."""
    meaning: str
    source: str


class SpaceCondition(TypedDict):
    """Fields that matter only while something holds."""

    fields: Annotated[list[str], Field(min_length=1)]
    only_if: str
    """The fields have no effect unless this holds."""


class SpaceForbidden(TypedDict):
    """A combination that is never proposed."""

    when: str
    reason: str


class Space(TypedDict):
    """A search space."""

    name: str
    dimensions: Annotated[list[SpaceDimension], Field(min_length=1)]
    conditions: list[SpaceCondition]
    forbidden: list[SpaceForbidden]
