"""The base of every configuration class: frozen, strict, unknown keys refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """A value object read from YAML: immutable, no unknown keys, no coercion, no NaN or infinity.

    Raises:
        pydantic.ValidationError: On an unknown key, a wrong type or a value out of range.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class NamedConfig(Schema):
    """A configuration that belongs to a registered name, such as an architecture or a task."""

    name: str
    """Registered name; chooses the class that reads the other keys."""

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result; equal results have equal canonical forms."""
        return self.model_dump(mode="json")
