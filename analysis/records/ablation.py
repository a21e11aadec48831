"""The description of an ablation, as the first line of a journal has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class AblationInfo:
    """Which arms lack which components of another arm."""

    around: str
    """The arm that has all components."""
    design: str
    """The name of the design, such as `fractional`."""
    resolution: int | None
    """Of a fractional design."""
    components: tuple[str, ...]
    arms: dict[str, tuple[str, ...]]
    """The arms of the design, each with the components that it has."""
    placebos: tuple[str, ...]
    """Arms to compare the whole with, outside of the design."""
    tuning: Literal["declared", "winner", "each"] = "declared"
    """Whose settings the arms have: those declared, those of the winner of the search of `around`, or those that a
    search of each arm finds."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """{arm: dotted fields that are set without its missing components, or in the placebo}."""

    @classmethod
    def from_mapping(cls, given: dict[str, Any]) -> AblationInfo:
        """Read what `dataclasses.asdict` wrote and JSON kept.

        Raises:
            KeyError, TypeError: If a key is missing or unknown.
        """
        nested = {
            "components": tuple(given["components"]),
            "arms": {arm: tuple(components) for arm, components in given["arms"].items()},
            "placebos": tuple(given["placebos"]),
        }
        return cls(**{**given, **nested})
