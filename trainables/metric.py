"""What a task or a family measures: name, unit, direction, and the value that means nothing was learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["val", "test"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number a task reports."""

    name: str
    """As `val/bits_per_byte`."""
    unit: str
    direction: Literal["minimise", "maximise", "none"]
    meaning: str
    chance: float | None = None
    """What a model that has learnt nothing scores; None where chance has no meaning."""
    items: int | None = None
    """Items a rate is over, in each seed; None where it is no rate."""
