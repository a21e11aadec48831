"""Plugins in installed packages: each announces itself by an entry point of the group `phasesweep.plugins`.

They are loaded only when an unregistered name is looked up, so a package that is not used costs nothing.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import socket
import sys
from contextlib import redirect_stdout
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from trainables.plugins.rules import PluginError, all_or_nothing, in_words, refuse_misuse, registrations
from trainables.registry import GROUP, LIBRARY, Plugin


def root_of(module_name: str) -> str:
    """Return the top-level Python package of a module."""
    return module_name.partition(".")[0]


def package_of(module_name: str) -> Plugin | None:
    """Return the installed plugin that a module belongs to, or None."""
    root = root_of(module_name)
    return _describe(root) if root not in LIBRARY and root in _announced() else None


def installed() -> list[str]:
    """Return the distributions that announce plugins."""
    return sorted({_distribution(root) for root in _announced()})


@functools.cache
def load_installed() -> tuple[str, ...]:
    """Load every installed plugin; return one message for each that cannot be loaded."""
    problems = []
    for root in _announced():
        try:
            _load(root)
        except PluginError as error:
            problems.append(str(error))
    return tuple(problems)


def load_distribution(name: str) -> list[Plugin]:
    """Load the distribution `name`; return its plugins, one for each Python package that it announces.

    Raises:
        PluginError: If one cannot be loaded.
    """
    return [_load(root) for root in _announced() if _distribution(root) == name]


def load_the_same(plugin: Plugin) -> None:
    """Load a package that another process has loaded, in the same version.

    Raises:
        PluginError: If this node does not have it, or has different code under its name.
    """
    host = socket.gethostname()
    if plugin.location not in _announced():
        raise PluginError(f"package '{plugin.name}' is not installed on {host}: install it on every machine")
    here = _describe(plugin.location)
    if here.sha256 != plugin.sha256:
        raise PluginError(f"{host} has {here}, the driver has {plugin}: install the same on every machine")
    _load(plugin.location)


@functools.cache
def _announced() -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of every installed plugin, by Python package."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.value, point.name)):
        root = root_of(point.module)
        found[root] = (*found.get(root, ()), point)
    return found


def _distribution(root: str) -> str:
    distribution = _announced()[root][0].dist
    return distribution.name if distribution else root


@functools.cache
def _describe(root: str) -> Plugin:
    """Describe an installed package, with the hash of its files."""
    distribution = _announced()[root][0].dist
    return Plugin(
        kind="package",
        name=_distribution(root),
        location=root,
        version=distribution.version if distribution else "",
        sha256=_hash_of_code(root),
    )


def _hash_of_code(root: str) -> str:
    spec = importlib.util.find_spec(root)
    if spec is None:
        raise PluginError(
            f"installed package '{_distribution(root)}': its module '{root}' is missing; reinstall or uninstall it"
        )
    digest = hashlib.sha256()
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in sorted(filter(_is_shipped, folder.rglob("*"))):
            with path.open("rb") as file:  # data may be large
                content = hashlib.file_digest(file, "sha256").digest()
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + content)
    if not spec.submodule_search_locations and spec.origin:
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()


def _is_shipped(path: Path) -> bool:
    """Return whether a file counts as part of a package: data does, Python's compiled files do not."""
    return path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts


@functools.cache
def _load(root: str) -> Plugin:
    plugin = _describe(root)
    with all_or_nothing():
        for point in _announced()[root]:
            try:
                with redirect_stdout(sys.stderr):  # standard output is reserved for --json
                    point.load()
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"installed package '{plugin.name}': entry point '{point.name} = {point.value}' of the group "
                    f"{GROUP} cannot be loaded: {in_words(error)}; fix or uninstall the package"
                ) from error
        own = [
            {name: entry for name, entry in entries.items() if root_of(entry.config_class.__module__) == root}
            for entries in registrations()
        ]
        refuse_misuse(own, plugin)
    return plugin
