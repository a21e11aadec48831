"""One decorator registers an architecture or a task, in this repository or in a user's own file."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from trainables.schema import NamedConfig

C = TypeVar("C", bound=NamedConfig)


class Registration(NamedTuple):
    """What a name stands for."""

    config_class: type[Any]
    version: int


class Registry(Generic[C]):
    """Names of one kind (architectures, tasks) and the configuration class behind each."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, type[C]] = {}
        self._versions: dict[str, int] = {}

    def register(self, name: str, *, version: int) -> Callable[[type[C]], type[C]]:
        """Register the decorated configuration class under `name`.

        Args:
            name: What a study writes under `name:`.
            version: Raise it whenever equal fields would give different numbers: it is part of
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
        """Return every registered name, sorted; of installed plugins only those loaded so far."""
        return sorted(self._entries)

    def registrations(self) -> dict[str, Registration]:
        """Return a copy of everything registered."""
        return {name: Registration(cls, self._versions[name]) for name, cls in self._entries.items()}

    def restore(self, registrations: Mapping[str, Registration]) -> None:
        """Go back to what `registrations` returned, or on to what it was made into."""
        self._entries = {name: entry.config_class for name, entry in registrations.items()}
        self._versions = {name: entry.version for name, entry in registrations.items()}

    def get(self, name: str) -> type[C]:
        """Return the configuration class of `name`; installed plugins are loaded if nothing here has it.

        Raises:
            ValueError: If nothing has that name; the message gives the nearest one, and what is wrong with
                installed plugins that cannot be loaded.
        """
        if name in self._entries:
            return self._entries[name]
        from trainables.plugin_packages import load_installed

        problems = load_installed()
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(name, self.names(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(self.names())}"
        raise ValueError("; ".join((f"unknown {self.kind} '{name}'; {hint}", *problems)))

    def version(self, name: str) -> int:
        """Return the version registered with `name`."""
        return self._versions[name]

    def parse(self, value: Any) -> C:
        """Read a mapping with the class its `name` chooses; pass an instance through.

        Raises:
            ValueError: If `value` is no mapping, has no `name`, or the name is unknown.
            pydantic.ValidationError: If the class refuses a field.
        """
        if isinstance(value, NamedConfig):
            return value  # type: ignore[return-value]
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise ValueError(f"needs a mapping with a `name`: one of {', '.join(self.names())}")
        return self.get(value["name"]).model_validate(value)


ARCHITECTURES: Registry[Any] = Registry("architecture")
TASKS: Registry[Any] = Registry("task")
REGISTRIES: tuple[Registry[Any], ...] = (ARCHITECTURES, TASKS)

register_architecture = ARCHITECTURES.register
register_task = TASKS.register
