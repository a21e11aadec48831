"""One decorator registers an architecture or a task, in this repository or in a user's own file."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from trainables.schema import NamedConfig

C = TypeVar("C", bound=NamedConfig)


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
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise ValueError(f"{self.kind} '{name}' is already registered by {known.__qualname__}")
            self._entries[name] = cls
            self._versions[name] = version
            return cls

        return add

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        return sorted(self._entries)

    def get(self, name: str) -> type[C]:
        """Return the configuration class of `name`.

        Raises:
            ValueError: If nothing has that name; the message gives the nearest one.
        """
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(name, self.names(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(self.names())}"
        raise ValueError(f"unknown {self.kind} '{name}'; {hint}")

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

register_architecture = ARCHITECTURES.register
register_task = TASKS.register
