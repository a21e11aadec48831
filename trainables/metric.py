"""Declaration of a metric of a task or a family: name, unit, direction, and the value at chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["val", "test"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that a task or a model reports."""

    name: str
    """Such as `val/bits_per_byte`."""
    unit: str
    direction: Literal["minimise", "maximise", "none"]
    meaning: str
    chance: float | None = None
    """Expected score of a model that has learnt nothing; None if chance has no meaning."""
    items: int | None = None
    """Number of independent items a rate is taken over, in each seed; None if it is not a rate."""
    scored: int | None = None
    """What is counted in these items, such as all tokens of the needles; None: the items, or not a rate."""
    null: str | None = None
    """For a probe: the probe that holds its value in a model without structure."""
    exact: bool = False
    """Whether it follows from the configuration alone: equal for every seed, and without an error of estimation."""


def probe(name: str, unit: str, meaning: str, *, null: str | None = None, exact: bool = False) -> Metric:
    """Return the declaration of `probe/<name>`, which a family's models measure of themselves; none is better.

    Args:
        name: Without `probe/`, like `null`.
        unit: Such as `tokens`; `1` for a pure number.
        meaning: What is measured.
        null: The probe that holds its value in a model without structure.
        exact: Whether it follows from the configuration alone.
    """
    return Metric(
        name=f"probe/{name}",
        unit=unit,
        direction="none",
        meaning=meaning,
        null=None if null is None else f"probe/{null}",
        exact=exact,
    )
