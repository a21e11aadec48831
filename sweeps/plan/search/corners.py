"""Points of a search's space as configurations, and the corners of a space; read without PyTorch."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from search_spaces.space import InvalidPointError, SearchSpace
from sweeps.errors import UserError
from sweeps.fields import merge, nest
from sweeps.studies.search import StudySearch
from sweeps.studies.study import Arm, Study
from trainables.config.trial import TrialConfig

MAX_CORNERS = 64
NUM_DRAWS = 32
"""Points of a space with more corners than `MAX_CORNERS` that are sized: its two outermost corners, and so many."""

Point = Mapping[str, Any]


def config_at(config: TrialConfig, point: Point) -> TrialConfig:
    """Return a configuration with the fields of a point.

    Raises:
        InvalidPointError: If it is not valid.
    """
    fields = config.model_dump(mode="json")
    for name, value in point.items():
        fields = merge(fields, nest(name, list(value) if isinstance(value, tuple) else value))
    try:
        return TrialConfig.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidPointError(str(first["msg"]).removeprefix("Value error, ")) from error


def in_words(point: Point) -> str:
    """Return a point as text."""
    return ", ".join(f"{name}={_short(value)}" for name, value in point.items())


def _short(value: Any) -> str:
    if isinstance(value, dict):  # a change
        return "{" + ", ".join(f"{name}: {_short(each)}" for name, each in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_short, value)) + ")"
    return f"{value:.4g}" if type(value) is float else str(value)


def corners(space: SearchSpace) -> list[dict[str, Any]]:
    """Return points that reach the ends of every dimension: all corners, or some if there are many."""
    found = list(itertools.islice(space.grid(2), MAX_CORNERS + 1))
    if len(found) <= MAX_CORNERS:
        return found
    draw = random.Random(0)
    outermost = (space.at([end] * len(space)) for end in (0.0, 1.0 - 2**-53))
    return [*(point for point in outermost if point is not None), *(space.sample(draw) for _ in range(NUM_DRAWS))]


def corner_arms(study: Study) -> dict[str, tuple[Arm, ...]]:
    """Return, for each searched arm, arms at the corners of its space.

    Raises:
        UserError: If one is no valid configuration.
    """
    if study.search is None:
        return {}
    by_name = {arm.name: arm for arm in study.arms}
    return {
        one.arm: tuple(_corner(by_name[one.arm], point, study.search) for point in corners(one.space))
        for one in study.search.arms
    }


def _corner(arm: Arm, point: dict[str, Any], search: StudySearch) -> Arm:
    try:
        return replace(arm, config=config_at(arm.config, point))
    except InvalidPointError as error:
        raise UserError(
            f"{search.where('space')}: arm '{arm.name}' with {in_words(point)} is no valid configuration: {error}; "
            "narrow a field, or refuse such points under space.forbid"
        ) from error
