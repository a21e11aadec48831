"""Groups of fields that may be absent: a mapping or null in a configuration, a switch and its fields in a space.

In a configuration `pvm: null` or `pvm: {alpha: 0.3}`; in a space `pvm` is false or true, and `pvm.alpha` is a field
that has an effect only if it is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def is_switch(name: str, names: Iterable[str]) -> bool:
    """Return whether `name` is the switch of a group: `names` has both itself and fields of it."""
    names = set(names)
    return name in names and any(other.startswith(f"{name}.") for other in names)


def from_fields(fields: Mapping[str, Any], names: Iterable[str], prefix: str = "") -> dict[str, Any]:
    """Flatten nested fields to dotted names and values; fields that are not in `names` are kept too.

    Args:
        fields: A configuration; a group is a mapping, or None where it is absent.
        names: Names of the space.
        prefix: Prepended to every name.
    """
    names = set(names)
    point: dict[str, Any] = {}
    for key, value in fields.items():
        name = prefix + key
        switch = is_switch(name, names)
        if switch:
            point[name] = value is not None
        if isinstance(value, Mapping):
            point |= from_fields(value, names, f"{name}.")
        elif not switch:
            point[name] = value
    return point


def to_fields(point: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Convert dotted names and values to nested fields: a switch becomes a group, or None if it is off.

    Args:
        point: A point of a space, switches before their fields. Fields of a group that is off are left out.
        names: Names of the space.
    """
    names = set(names)
    fields: dict[str, Any] = {}
    for name, value in point.items():
        *path, key = name.split(".")
        group: dict[str, Any] | None = fields
        for step in path:
            group = None if group is None else group.setdefault(step, {})
        if group is None:
            continue
        group[key] = ({} if value else None) if is_switch(name, names) else value
    return fields
