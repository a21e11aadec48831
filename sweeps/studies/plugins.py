"""Plugins as a user names them: by `--plugin` on the command line, or under `plugins:` in a study file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sweeps.errors import UserError
from sweeps.studies.yaml_file import YamlSource
from trainables.plugins.files import activate, read_plugin
from trainables.plugins.rules import PluginError
from trainables.registry import Plugin

_given: dict[str, Plugin] = {}
"""The plugins of this command line, by the path that was typed."""


def use(paths: Iterable[str]) -> None:
    """Load the plugins of this command line.

    Raises:
        UserError: If one cannot be used.
    """
    _given.clear()
    for path in paths:
        _given[path] = load_plugin(Path(path), f"--plugin {path}", beside=_given.values())


def options() -> list[str]:
    """Return the `--plugin` options of this command line, for commands that messages propose."""
    return [word for path in _given for word in ("--plugin", path)]


def paths() -> tuple[Path, ...]:
    """Return the files of `--plugin` on this command line."""
    return tuple(map(Path, _given))


def load_study_plugins(source: YamlSource, paths: Iterable[str]) -> None:
    """Load the plugins that a study file names, relative to itself.

    Raises:
        UserError: If one cannot be used.
    """
    loaded = [*_given.values()]
    for index, path in enumerate(paths):
        where = f"{source.where(('plugins', index))}: plugins"
        loaded.append(load_plugin(source.path.parent / path, where, beside=loaded))


def load_plugin(path: Path, where: str, beside: Iterable[Plugin] = ()) -> Plugin:
    """Read and run a plugin file.

    Args:
        path: The file.
        where: Where it was named; every message begins with it.
        beside: The other plugins of the same command line or study.

    Raises:
        UserError: If it cannot be used, or has the name of another file in `beside`.
    """
    try:
        plugin = read_plugin(path)
        for other in beside:
            if other.name == plugin.name and other.sha256 != plugin.sha256:
                raise PluginError(f"another file of that name is in use, {other.location}; rename one")
        return activate(plugin)
    except PluginError as error:
        raise UserError(f"{where}: {error}") from error
