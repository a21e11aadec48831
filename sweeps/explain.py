"""Pydantic's errors in words a person can act on: file and line, key, value, nearest valid name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from sweeps.errors import nearest
from sweeps.yaml_source import KeyPath
from trainables.config import TrialConfig
from trainables.registry import ARCHITECTURES, TASKS, Registry

_REGISTRIES: dict[str, Registry[Any]] = {"architecture": ARCHITECTURES, "task": TASKS}


def explain_first(
    error: ValidationError,
    schema: type[BaseModel],
    where: Callable[[KeyPath], str],
    *,
    data: dict[str, Any],
    context: str = "",
    prefix: KeyPath = (),
) -> str:
    """Return one message for one of the errors, unknown keys first, and say how many more there are.

    Args:
        error: What pydantic found.
        schema: The class that refused the data.
        where: Gives `file:line` of a key.
        data: The data that was refused.
        context: Which part of the study is meant, such as an arm.
        prefix: Keys that stand before the error's own in the message.
    """
    errors = error.errors(include_url=False)
    # A misspelt key is also a missing one: the misspelling is what helps.
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    location = tuple(first["loc"])
    key = ".".join(str(part) for part in (*prefix, *location))
    place = where(location)
    named = "" if place.endswith(f" {key}") else f" {key or 'study'}:"
    message = f"{place}:{named} {_say(first, schema, location, data)}"
    if context:
        message += f" ({context})"
    if len(errors) > 1:
        message += f"; and {len(errors) - 1} more"
    return message


def _say(first: Any, schema: type[BaseModel], location: KeyPath, data: dict[str, Any]) -> str:
    kind, value = first["type"], first["input"]
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(str(location[-1]), _known_keys(schema, location[:-1], data))}"
    if kind == "missing":
        return "this key is required"
    text = str(first["msg"]).removeprefix("Value error, ")
    text = text[0].lower() + text[1:] if text.startswith("Input") else text
    if isinstance(value, dict | list):
        return text
    return f"{text}, got {value!r}"


def _known_keys(schema: type[BaseModel], parent: KeyPath, data: dict[str, Any]) -> list[str]:
    """Return the valid keys beside an unknown one."""
    current: Any = schema
    for part in parent:
        registry = _REGISTRIES.get(str(part)) if current is TrialConfig else None
        named = registry.get(data[str(part)]["name"]) if registry else None
        current = named or _field_class(current, str(part))
        if current is None:
            return []
    return list(current.model_fields)


def _field_class(owner: Any, field: str) -> Any:
    """Return the model class behind a field, looking into optional, dict and list annotations."""
    info = owner.model_fields.get(field)
    if info is None:
        return owner  # a free name inside a mapping of models: the class is the mapping's
    annotation: Any = info.annotation
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
