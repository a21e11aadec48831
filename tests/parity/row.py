"""One row of the table: what is compared, and how near it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """A module, a schedule or a data set of ours beside the published one."""

    what: str
    """In a line that is readable without the other rows."""
    measure: Callable[[], dict[str, float]]
    """Returns the largest difference of each quantity, such as `out` and `grad`; keys are what the table prints."""
    tolerance: float = 1e-9
    """Largest difference that counts as agreement."""
    tolerances: dict[str, float] = field(default_factory=dict)
    """By quantity, where one differs: float32 on the published side, or a statistic's sampling error."""
    statistic: str = ""
    """Of random draws, the unit in which statistics are compared, such as `standard errors`; empty: no draws."""

    def limit(self, quantity: str) -> float:
        """Return the largest difference of a quantity that counts as agreement."""
        return self.tolerances.get(quantity, self.tolerance)

    def agrees(self, differences: dict[str, float]) -> bool:
        """Return whether every quantity is within its tolerance."""
        assert differences, f"{self.what}: nothing was compared"
        return all(value <= self.limit(name) for name, value in differences.items())


@dataclass(frozen=True, kw_only=True)
class Family:
    """The rows of one family of ours, and where the numbers beside it come from."""

    published: str
    """The authors' repository, with the commit that was run."""
    rows: tuple[Row, ...]
    nothing_to_compare: tuple[str, ...]
    """Parts of ours that no row compares, and why: what the authors did not publish, or never ran."""
