"""Turns pydantic's errors into messages with file and line, key, value and nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from sweeps.errors import nearest
from sweeps.fields import KeyPath
from sweeps.studies.schema.names import PATTERNS
from trainables.config.trial import TrialConfig
from trainables.registry import ARCHITECTURES, TASKS, Registry

_NO_KEY = re.compile(r"\[key\]|(constrained-)?(int|float|str)|bool|(list|tuple|dict)\[.*\]")
"""What a location of pydantic has beside keys: the member of a union that it tried, and a mark for keys."""

_FIELD = re.compile(r"\bunknown (\w+) '|^(\w+) |\b(\w+(?:\.\w+)*)=")
"""How a message about several fields names one: as unknown, as its first word, or with its value."""

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
    """Return one message for one of the errors, unknown keys first, with the number of the others.

    Args:
        error: Pydantic's error.
        schema: The class that refused the data.
        where: Returns `file:line` of a key.
        data: The data that was refused.
        context: The part of the study, such as an arm.
        prefix: Keys that precede the error's own in the message.
    """
    errors = error.errors(include_url=False)
    # A misspelt key is often reported as missing too: the misspelling is the more useful error.
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    told = _of_one_union(errors, first)
    location = _location(told[0])
    key = ".".join(str(part) for part in (*prefix, *location))
    said = _say(told, schema, location, data)
    place = where((*location, *field_in(said, told[0]["input"])))
    named = "" if not key or f" {key}" in place else f" {key}:"
    message = f"{place}:{named} {said}"
    if context:
        message += f" ({context})"
    others = sum(_location(other)[: len(location)] != location for other in errors)
    if others:
        message += f" (and {others} more {'mistake' if others == 1 else 'mistakes'})"
    return message


def _location(error: Any) -> KeyPath:
    """Return the keys that lead to the error."""
    return tuple(part for part in error["loc"] if not (isinstance(part, str) and _NO_KEY.fullmatch(part)))


def field_in(said: str, value: Any) -> KeyPath:
    """Return the field of the mapping `value` that a message about the whole mapping names first; () if none."""
    paths = [tuple("".join(groups).split(".")) for groups in _FIELD.findall(said)]
    return next((path for path in paths if _has(value, path)), ())


def _has(value: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _of_one_union(errors: list[Any], first: Any) -> list[Any]:
    """Return `first` or, for a union, the errors of the members that matched furthest."""
    tagged = [isinstance(part, str) and bool(_NO_KEY.fullmatch(part)) for part in first["loc"]]
    if not any(tagged):
        return [first]
    before = first["loc"][: tagged.index(True)]
    tried = [error for error in errors if error["loc"][: len(before)] == before]
    furthest = max(len(_location(error)) for error in tried)
    return [error for error in tried if len(_location(error)) == furthest]


def _say(told: list[Any], schema: type[BaseModel], location: KeyPath, data: dict[str, Any]) -> str:
    kind, value = told[0]["type"], told[0]["input"]
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(str(location[-1]), _known_keys(schema, location[:-1], data))}"
    if kind == "missing":
        return "this key is required"
    if location == ("format_version",):
        return f"this phasesweep reads version 1, got {value!r}; a newer phasesweep may have written it"
    texts = list(dict.fromkeys(_text(error) for error in told))
    text = " or ".join([texts[0], *(other.removeprefix("input should be ") for other in texts[1:])])
    if kind == "string_type":
        return f"{text}, got {value!r}; put it in quotes if it is text"
    said = isinstance(value, dict | list) or (isinstance(value, str) and repr(value) in text)
    return text if said else f"{text}, got {value!r}"


def _text(error: Any) -> str:
    """Return pydantic's message in terms of YAML, which has lists and no tuples, and patterns in words."""
    words = PATTERNS.get(error.get("ctx", {}).get("pattern"))
    if words is not None:
        return f"has to be {words}"
    text = str(error["msg"]).removeprefix("Value error, ").replace("valid tuple", "valid list")
    return text[0].lower() + text[1:] if text.startswith(("Input", "String", "List", "Tuple")) else text


def _known_keys(schema: type[BaseModel], parent: KeyPath, data: dict[str, Any]) -> list[str]:
    """Return the valid keys beside an unknown one."""
    current: Any = schema
    for part in parent:
        registry = _REGISTRIES.get(str(part)) if issubclass(current, TrialConfig) else None
        named = registry.get(data[str(part)]["name"]) if registry else None
        current = named or _field_class(current, str(part))
        if current is None:
            return []
    return list(current.model_fields)


def _field_class(owner: Any, field: str) -> Any:
    """Return the model class behind a field, looking into optional, dict and list annotations."""
    info = owner.model_fields.get(field)
    if info is None:
        return owner  # an arbitrary name in a mapping of models: the class is the mapping's
    annotation: Any = info.annotation
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
