"""The parts of a configuration as a study writes them: for its base, an arm, a grid, or what a scale changes."""

from __future__ import annotations

from typing import Any

SECTIONS = ("architecture", "task", "optimizer", "budget", "pretraining", "resume_from")


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `under` with the values of `over`; mappings are merged, everything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def nest(dotted: str, value: Any) -> dict[str, Any]:
    """Return a nested mapping with `value` at the dotted key."""
    for key in reversed(dotted.split(".")):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


KeyPath = tuple[str | int, ...]
