"""One row of the table: what is compared, and how near it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """A module, a schedule or a data set of ours beside the published one."""

    what: str
    """In a line."""
    measure: Callable[[], dict[str, float]]
    """Returns the largest difference of each quantity, such as `out` and `grad`."""
    section: str = ""
    """Number of the difference that once stood here, such as `2.4`; empty if there never was one."""
    tolerance: float = 1e-9
    """Largest difference that counts as agreement."""
    tolerances: dict[str, float] = field(default_factory=dict)
    """By quantity, where one differs: float32 on the published side, or a statistic's sampling error."""

    def agrees(self, differences: dict[str, float]) -> bool:
        """Return whether every quantity is within its tolerance."""
        assert differences, f"{self.what}: nothing was compared"
        return all(value <= self.tolerances.get(name, self.tolerance) for name, value in differences.items())
