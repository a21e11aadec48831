"""Types of what `curves --json` prints: a metric of all arms over training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on only

from sweeps.cli.schemas.planning import Count, StudyName, Text


class PointJson(TypedDict):
    """A metric of an arm at one step: the mean over finished seeds, with its interval."""

    step: Count
    mean: float
    ci_low: float | None
    ci_high: float | None
    null: float | None
    """The value in a model without structure, for a probe that has one."""


class CurveJson(TypedDict):
    """A metric of one arm over training."""

    arm: Text
    n: Count
    """Finished seeds."""
    points: list[PointJson]
    """At the steps that all of them report."""


class CurvesJson(TypedDict):
    """A metric of all arms over training."""

    study: StudyName
    scale: Text
    metric: Text
    unit: Text
    meaning: Text
    null: Text | None
    """The probe that holds its value in a model without structure."""
    confidence: float
    arms: Annotated[list[CurveJson], Field(min_length=1)]
