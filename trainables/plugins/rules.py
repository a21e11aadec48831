"""What a plugin is, whether a file or an installed package, and what it may register."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trainables.registry import ARCHITECTURES, REGISTRIES, Plugin, Registration, Registry


class PluginError(ValueError):
    """A plugin cannot be used; the message says where, why and what to do."""


Registrations = list[dict[str, Registration]]
"""Contents of each of `REGISTRIES`, in that order."""


def registrations() -> Registrations:
    """Return everything registered now."""
    return [registry.registrations() for registry in REGISTRIES]


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """Restore the registries if the block fails, so that no plugin is half registered."""
    before = registrations()
    try:
        yield
    except BaseException:
        for registry, entries in zip(REGISTRIES, before, strict=True):
            registry.restore(entries)
        raise


def in_words(error: BaseException) -> str:
    """Return an exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def refuse_misuse(own: Registrations, plugin: Plugin) -> None:
    """Refuse registrations that no study could use, as soon as the plugin is loaded.

    Args:
        own: The registrations of `plugin`.
        plugin: The plugin, for the message.

    Raises:
        PluginError: If there are none, or one is not a complete configuration class under its own name.
    """
    for registry, entries in zip(REGISTRIES, own, strict=True):
        for name, entry in entries.items():
            problem = _misuse(registry, name, entry, plugin)
            if problem:
                raise PluginError(f"{_where(entry.config_class, plugin)}: {problem}")
    if not any(own):
        raise PluginError(
            f"{plugin.location} registers nothing; decorate a configuration class with "
            f'@register_architecture("…", version=1) or @register_task("…", version=1)'
        )


def _misuse(registry: Registry[Any], name: str, entry: Registration, plugin: Plugin) -> str | None:
    from trainables.architectures.base import ArchitectureConfig
    from trainables.tasks.base import TaskConfig

    cls, base = entry.config_class, ArchitectureConfig if registry is ARCHITECTURES else TaskConfig
    what = f"{cls.__qualname__} is registered as {registry.kind} '{name}'"
    if not (isinstance(cls, type) and issubclass(cls, base)):
        return f"{what}, but is no {base.__name__}: subclass it"
    if plugin.kind == "file" and cls.__module__ != plugin.module_name:
        return f"{what}, but belongs to '{cls.__module__}': register a class that this file defines"
    if inspect.isabstract(cls):
        return f"{what}, but has to define {', '.join(sorted(cls.__abstractmethods__))} first"
    if cls.model_fields["name"].default != name:
        return f"{what}, so it needs the field name: Literal['{name}'] = '{name}'"
    if type(entry.version) is not int or entry.version < 1:
        return f"{what}, with version={entry.version!r}: give a positive integer"
    return None


def _where(cls: type[Any], plugin: Plugin) -> str:
    """Return `file:line` of a class in a plugin file, otherwise the plugin's name."""
    if plugin.kind == "package" or cls.__module__ != plugin.module_name:
        return plugin.location
    return f"{plugin.location}:{inspect.getsourcelines(cls)[1]}"
