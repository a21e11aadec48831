"""What a task or a family measures: name, unit, direction, and the value that means nothing was learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["val", "test"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that a task or a model reports."""

    name: str
    """As `val/bits_per_byte`."""
    unit: str
    direction: Literal["minimise", "maximise", "none"]
    meaning: str
    chance: float | None = None
    """What a model that has learnt nothing scores; None where chance has no meaning."""
    items: int | None = None
    """Items a rate is over, in each seed; None where it is no rate."""
    null: str | None = None
    """Of a probe: the probe that holds its value in a model without structure."""


def probe(name: str, unit: str, meaning: str, *, null: str | None = None) -> Metric:
    """Return the declaration of `probe/<name>`, an order parameter of a family: none has a better direction.

    Args:
        name: Without `probe/`, as `null`.
        unit: As `tokens`; `1` for a pure number.
        meaning: What is measured.
        null: The probe that holds its value in a model without structure.
    """
    return Metric(
        name=f"probe/{name}",
        unit=unit,
        direction="none",
        meaning=meaning,
        null=None if null is None else f"probe/{null}",
    )
