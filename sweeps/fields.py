"""Dotted fields of a configuration, which of them `--set` may override, and the name of a results folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from sweeps.errors import UserError, nearest

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


Scale = Literal["smoke", "laptop", "gpu", "paper"]


SCALES: tuple[Scale, ...] = ("smoke", "laptop", "gpu", "paper")


DEFAULT_SCALE: Scale = "laptop"


def check_scale(scale: str) -> Scale:
    """Return `scale` if it is one.

    Raises:
        UserError: If it is not.
    """
    for known in SCALES:
        if scale == known:
            return known
    raise UserError(f"unknown scale '{scale}'; {nearest(scale, SCALES)}")


OTHER_SECTIONS = ("space", "search", "scheduler", "confirm", "ablation")
"""Sections of a study beside its arms: about a search, and about an ablation."""

Target = Literal["base", "arm", "study", "section"]
"""What an override changes: fields of all arms, of one arm, of the study around the arms, or of another section."""


def target_of(key: str) -> Target:
    """Return what the override `key` changes.

    Raises:
        UserError: If there is no such key.
    """
    head, *rest = key.split(".")
    if head in SECTIONS and rest:
        return "base"
    if head == "arms" and len(rest) >= 3 and rest[1] in SECTIONS:
        return "arm"
    if key == "seeds" or (head == "resources" and len(rest) == 1):
        return "study"
    if head in OTHER_SECTIONS and rest:
        return "section"
    valid = [*(f"{name}.<field>" for name in (*SECTIONS, *OTHER_SECTIONS)), "seeds", "resources.<field>"]
    raise UserError(f"--set {key}: no such key; known: {', '.join(valid)}, arms.<arm>.<section>.<field>")


def results_key(scale: str, overrides: Mapping[str, Any]) -> str:
    """Return the name of a results folder: the scale, and a hash of the overrides that change configurations.

    Seeds, finalists, resources and the budget of a search are not hashed, so that a run with other values continues
    the results that exist. Looks are: with others, the same seeds would be looked at again.
    """
    return _key(scale, {key: value for key, value in overrides.items() if not _continues(key)})


def _continues(key: str) -> bool:
    return target_of(key) == "study" or key.startswith(("search.budget.", "confirm.seeds", "confirm.finalists"))


def former_results_key(scale: str, overrides: Mapping[str, Any]) -> str:
    """Return the folder's name in earlier versions, which hashed seeds and resources too."""
    return _key(scale, overrides)


def _key(scale: str, overrides: Mapping[str, Any]) -> str:
    if not overrides:
        return scale
    text = json.dumps(overrides, sort_keys=True, default=str)
    return f"{scale}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"
