"""Reads `--set key=value` and checks the key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sweeps.errors import UserError
from sweeps.fields import target_of
from sweeps.studies.yaml_file import parse_scalar


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Read the texts of `--set`.

    Raises:
        UserError: If one is not `key=value`, its value is not YAML, or there is no such key.
    """
    parsed: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(f"--set {text}: write it as key=value, such as --set budget.steps=100")
        parsed[key] = parse_scalar(value, f"--set {text}")
        target_of(key)
    return parsed
