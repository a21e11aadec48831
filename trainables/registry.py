"""The registries of architectures and tasks, filled by a decorator in this repository or in plugins.

A registry that is asked loads what fills it: the library's own entries at the first question, installed plugins at
the first unknown name. Importing this module costs nothing, and nobody who asks can forget to load them. What fills
it imports this module, and is therefore named here as text.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from search_spaces.suggestions import nearest
from trainables.schema import NamedConfig

C = TypeVar("C", bound=NamedConfig)

_PLUGINS = "trainables.plugins.packages"
"""The module that loads installed plugins."""


class Registration(NamedTuple):
    """The class and the version behind a name."""

    config_class: type[Any]
    version: int


class Registry(Generic[C]):
    """Names of one kind (architectures, tasks) and the configuration class behind each.

    Args:
        kind: What is registered, for messages.
        package: The package whose import registers the library's own entries.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, type[C]] = {}
        self._versions: dict[str, int] = {}

    def _known(self) -> dict[str, type[C]]:
        """Return the registered classes by name, the library's among them; loads those at the first call."""
        importlib.import_module(self._package)
        return self._entries

    def register(self, name: str, *, version: int) -> Callable[[type[C]], type[C]]:
        """Register the decorated configuration class under `name`.

        Args:
            name: Value of `name:` in a study.
            version: Increase it whenever equal fields would give different numbers: it is part of
                every `config_id`, so old results are never mistaken for new ones.

        Raises:
            ValueError: If another class already has this name.
        """

        def add(cls: type[C]) -> type[C]:
            known = self._entries.get(name)
            if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                where = getattr(sys.modules.get(known.__module__), "__file__", known.__module__)
                raise ValueError(
                    f"{self.kind} '{name}' is already registered by {known.__qualname__} in {where}; "
                    "choose another name"
                )
            self._entries[name] = cls
            self._versions[name] = version
            return cls

        return add

    def names(self) -> list[str]:
        """Return every registered name, sorted; installed plugins count only after they are loaded."""
        return sorted(self._known())

    def registrations(self) -> dict[str, Registration]:
        """Return a copy of everything registered."""
        return {name: Registration(cls, self._versions[name]) for name, cls in self._known().items()}

    def restore(self, registrations: Mapping[str, Registration]) -> None:
        """Replace all registrations by these, as returned by `registrations`."""
        self._entries = {name: entry.config_class for name, entry in registrations.items()}
        self._versions = {name: entry.version for name, entry in registrations.items()}

    def get(self, name: str) -> type[C]:
        """Return the configuration class of `name`; installed plugins are loaded if it is unknown.

        Raises:
            ValueError: If nothing has that name; the message gives the nearest one, and the errors of
                installed plugins that cannot be loaded.
        """
        if name in self._known():
            return self._entries[name]
        problems = importlib.import_module(_PLUGINS).load_installed()
        if name in self._entries:
            return self._entries[name]
        raise ValueError("; ".join((f"unknown {self.kind} '{name}'; {nearest(name, self.names())}", *problems)))

    def version(self, name: str) -> int:
        """Return the version registered with `name`."""
        return self._versions[name]

    def parse(self, value: Any) -> C:
        """Read a mapping with the class its `name` chooses; pass an instance through.

        Raises:
            ValueError: If `value` is not a mapping, has no `name`, or the name is unknown.
            pydantic.ValidationError: If the class refuses a field.
        """
        if isinstance(value, NamedConfig):
            return value  # type: ignore[return-value]
        if isinstance(value, dict) and not isinstance(value.get("name", ""), str):
            raise ValueError(f"name must be one of {', '.join(self.names())}, got {value['name']!r}")
        if not isinstance(value, dict) or "name" not in value:
            raise ValueError(f"needs a mapping with a `name`: one of {', '.join(self.names())}")
        return self.get(value["name"]).model_validate(value)


ARCHITECTURES: Registry[Any] = Registry("architecture", "trainables.architectures")
TASKS: Registry[Any] = Registry("task", "trainables.tasks")
REGISTRIES: tuple[Registry[Any], ...] = (ARCHITECTURES, TASKS)

register_architecture = ARCHITECTURES.register
register_task = TASKS.register


GROUP = "phasesweep.plugins"
"""The entry point group in which installed packages announce themselves."""


LIBRARY = ("analysis", "cluster", "search_spaces", "sweeps", "trainables")
"""This project's own packages."""


ONE_FILE = f"a plugin is one file, or an installed package with an entry point of the group {GROUP}"


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """Code from outside that registers architectures or tasks."""

    kind: Literal["file", "package"]
    name: str
    """Name of the file, or of the installed distribution."""
    location: str
    """Path at which the file was read, or the name of the Python package."""
    version: str = ""
    """Version of an installed distribution; a file has none."""
    sha256: str
    """Hash of the file's text, or of all files of the package."""
    source: str = field(default="", repr=False)
    """Text of a file; empty for a package."""

    @property
    def module_name(self) -> str:
        """Name of the module: a file's includes its hash, so that two versions are two modules."""
        if self.kind == "package":
            return self.location
        return f"phasesweep_plugin_{re.sub(r'[^0-9A-Za-z]', '_', Path(self.name).stem)}_{self.sha256[:12]}"

    def describe(self) -> dict[str, str]:
        """Return what identifies the code, without the code."""
        return {"kind": self.kind, "name": self.name, "version": self.version, "sha256": self.sha256}

    def __str__(self) -> str:
        return f"{self.name}{f' {self.version}' if self.version else ''} (sha256 {self.sha256[:12]})"
