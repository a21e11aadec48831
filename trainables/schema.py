"""The base of every configuration class: frozen, strict, unknown keys refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Schema(BaseModel):
    """A value object read from YAML: immutable, no unknown keys, no coercion, no NaN or infinity.

    Raises:
        pydantic.ValidationError: On an unknown key, a wrong type or a value out of range.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class NamedConfig(Schema):
    """The configuration of something registered by name, such as an architecture or a task."""

    name: str
    """Registered name; selects the class that reads the other keys."""
    published: ClassVar[Mapping[str, Any]] = {}
    """Defaults that `fidelity: as_published` sets; each can still be overridden."""

    @model_validator(mode="before")
    @classmethod
    def _write_out_defaults(cls, fields: Any) -> Any:
        return cls.with_defaults(fields) if isinstance(fields, dict) else fields

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return `fields`, completed by the defaults that depend on other fields."""
        return {**cls.published, **fields} if fields.get("fidelity") == "as_published" else fields

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result; equal results have equal canonical forms."""
        return self.model_dump(mode="json")
