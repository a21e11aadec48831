"""The search spaces of this repository, by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

import search_spaces
from search_spaces.space import SearchSpace


def _gather() -> dict[str, SearchSpace]:
    """Return all spaces that modules here declare in `SPACES`: `<module>.<key>`, or `<module>` for an empty key."""
    found: dict[str, SearchSpace] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(search_spaces.__path__)):
        if name != "catalogue":
            spaces = getattr(importlib.import_module(f"search_spaces.{name}"), "SPACES", {})
            found |= {f"{name}.{key}" if key else name: space for key, space in sorted(spaces.items())}
    return found


SPACES: Mapping[str, SearchSpace] = MappingProxyType(_gather())
