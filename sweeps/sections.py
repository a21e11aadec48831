"""The parts of a configuration as a study writes them: for its base, an arm, a grid, or what a scale changes."""

from __future__ import annotations

from typing import Any, Literal

from trainables.schema import Schema

SECTIONS = ("architecture", "task", "optimizer", "budget", "pretraining", "resume_from")

Role = Literal["baseline", "treatment", "control", "prerequisite"]
"""A prerequisite is trained for others to start with; no study writes it."""


class Sections(Schema):
    """Parts of a TrialConfig, not yet validated: they are merged first."""

    architecture: dict[str, Any] = {}
    task: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    budget: dict[str, Any] = {}
    pretraining: dict[str, Any] = {}
    """How a backbone is trained first, where the architecture wants one."""
    resume_from: dict[str, Any] = {}
    """Whose weights to start with."""

    def as_overlay(self) -> dict[str, Any]:
        """Return only what is written."""
        return {name: getattr(self, name) for name in SECTIONS if getattr(self, name)}


class ArmSpec(Sections):
    """An arm: what it changes of the base."""

    role: Literal["baseline", "treatment", "control"] = "treatment"
    """Exactly one arm is the baseline that the others are compared with."""
    note: str = ""


class ArmOverlay(Sections):
    """What a scale changes of an arm."""


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
