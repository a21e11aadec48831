"""The base of every configuration class: frozen, strict, unknown keys refused."""

from __future__ import annotations

import pkgutil
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

    added: ClassVar[Mapping[str, Any]] = {}
    """Fields that came after results were published, each with the value under which nothing differs from before;
    a field of a group as `group.field`. At that value they are left out of configuration ids, so that results keep
    theirs."""


class NamedConfig(Schema):
    """The configuration of something registered by name, such as an architecture or a task."""

    name: str
    """Registered name; selects the class that reads the other keys."""
    published: ClassVar[Mapping[str, Any]] = {}
    """Defaults that `fidelity: as_published` sets; each can still be overridden."""

    builds: ClassVar[str] = ""
    """The class that `build` makes, as `module:name`. It is text because its module imports PyTorch, which takes
    seconds: configurations are read and checked without it."""

    @model_validator(mode="before")
    @classmethod
    def _write_out_defaults(cls, fields: Any) -> Any:
        return cls.with_defaults(fields) if isinstance(fields, dict) else fields

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return `fields`, completed by the defaults that depend on other fields."""
        return with_published(fields, cls.published) if fields.get("fidelity") == "as_published" else fields

    @classmethod
    def built_class(cls) -> Any:
        """Import the class named by `builds`.

        Raises:
            NotImplementedError: If none is named.
        """
        if not cls.builds:
            raise NotImplementedError(f"{cls.__name__} names no class that it `builds`, as module:name")
        return pkgutil.resolve_name(cls.builds)

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result; equal results have equal canonical forms."""
        return self.model_dump(mode="json")


def with_published(given: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with the values of `published` as defaults, also within groups; groups that `given` lacks stay
    absent."""
    filled = dict(given)
    for name, value in published.items():
        if not isinstance(value, dict):
            filled.setdefault(name, value)
        elif isinstance(filled.get(name), dict):
            filled[name] = with_published(filled[name], value)
    return filled


def without_added(canonical: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return a canonical form without the fields of `Schema.added` that have the value of before."""
    kept = dict(canonical)
    for path, before in added.items():
        group, _, rest = path.partition(".")
        if rest and isinstance(kept.get(group), dict):
            kept[group] = without_added(kept[group], {rest: before})
        elif not rest and group in kept and kept[group] == before:
            del kept[group]
    return kept
