"""Settings of a candidate that change while it trains, as those of a population's members do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHANGES = "optimizer.changes"
"""The field with the changes, each a mapping of `from_step` and of fields of the optimiser to their values."""


def schedule_of(point: Mapping[str, Any], field: str) -> list[tuple[int, Any]]:
    """Return the values of a field with the steps from which they hold: several where it changes."""
    if field not in point:
        return []
    name = field.removeprefix("optimizer.")
    later = [(change["from_step"], change[name]) for change in point.get(CHANGES, ()) if name in change]
    return [(0, point[field]), *later]
