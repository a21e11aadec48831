"""Architectures and tasks from outside this repository: a user's own file, or an installed package.

A *file* is read once, by the driver. Its text is sent to the workers with every replicate that needs it, so they
run what the driver read, on any node and even if the file changes meanwhile. An *installed package* must exist on
every node; a worker refuses code that differs from the driver's.

The hash of the code is part of the `config_id` of what it registers (`TrialConfig.canonical`): edited code is
a new configuration and runs again, so old and new numbers never mix.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from trainables.plugins.packages import load_the_same, package_of
from trainables.plugins.rules import (
    PluginError,
    Registrations,
    all_or_nothing,
    in_words,
    refuse_misuse,
    registrations,
)
from trainables.registry import LIBRARY, ONE_FILE, REGISTRIES, Plugin, Registry
from trainables.schema import NamedConfig

__all__ = [
    "Plugin",
    "PluginError",
    "activate",
    "forget_other_versions",
    "last_line_in",
    "origin_of",
    "read_plugin",
    "registered_by",
]

_files: dict[str, tuple[Plugin, Registrations]] = {}
"""Every plugin file that this process has run, by module name, with its registrations."""


def origin_of(config_class: type[NamedConfig]) -> Plugin | None:
    """Return the plugin that defines a class; None for the library's own.

    It is found by the class, not by its registered name: a configuration keeps its plugin even if another version
    of the file is loaded later.
    """
    module_name = config_class.__module__
    return _files[module_name][0] if module_name in _files else package_of(module_name)


def registered_by(plugin: Plugin) -> list[tuple[Registry[Any], str]]:
    """Return (registry, name) of everything that `plugin` registers."""
    return [
        (registry, name)
        for registry, entries in zip(REGISTRIES, registrations(), strict=True)
        for name, entry in entries.items()
        if origin_of(entry.config_class) == plugin
    ]


def read_plugin(path: Path) -> Plugin:
    """Read a plugin file, and refuse what cannot work on another node. Runs nothing.

    Raises:
        PluginError: If there is no such file, it is not Python, or it imports a module from its own folder.
    """
    where = path.expanduser().resolve()
    if where.is_dir():
        raise PluginError(f"{where} is a folder; {ONE_FILE}")
    if where.suffix != ".py":
        raise PluginError(f"{where} is not a Python file (.py)")
    try:
        source = importlib.util.decode_source(where.read_bytes())
        compile(source, str(where), "exec", dont_inherit=True)
        tree = ast.parse(source)
    except FileNotFoundError:
        raise PluginError(f"no such file: {where}") from None
    except OSError as error:
        raise PluginError(f"{where} cannot be read: {error}") from error
    except SyntaxError as error:
        raise PluginError(f"{where}:{error.lineno or 1}: {type(error).__name__}: {error.msg}") from error
    except ValueError as error:  # bytes that are not text
        raise PluginError(f"{where} is not Python: {error}") from error
    _refuse_siblings(tree, where)
    sha256 = hashlib.sha256(source.encode()).hexdigest()
    return Plugin(kind="file", name=where.name, location=str(where), sha256=sha256, source=source)


def activate(plugin: Plugin) -> Plugin:
    """Make the names that `plugin` registers refer to it; its code runs at most once in a process.

    Files with the same name are versions of one plugin, wherever they are: the one activated last has the names,
    while configurations created before keep their class.

    Returns:
        The active plugin: an equal file from another location, if that was loaded first.

    Raises:
        PluginError: If the code fails, registers nothing or something other than configurations, uses a name
            that is taken, or is a package that is missing or different on this node.
    """
    if plugin.kind == "package":
        load_the_same(plugin)
        return plugin
    with all_or_nothing():
        _step_back(plugin)
        if plugin.module_name not in _files:
            _files[plugin.module_name] = (plugin, _run(plugin))
        active, own = _files[plugin.module_name]
        for registry, entries in zip(REGISTRIES, own, strict=True):
            registry.restore({**registry.registrations(), **entries})
    _show_lines_of(active)
    return active


def forget_other_versions(plugin: Plugin) -> None:
    """Drop other versions of an active plugin file; configurations created from them lose their plugin.

    For workers, which live long and would otherwise keep a module for every edit.
    """
    for name, (other, _) in list(_files.items()):
        if other.name == plugin.name and name != plugin.module_name:
            del _files[name]
            sys.modules.pop(name, None)


def _step_back(plugin: Plugin) -> None:
    """Unregister the names of other versions of a file."""
    for registry, entries in zip(REGISTRIES, registrations(), strict=True):
        kept = dict(entries)
        for name, entry in entries.items():
            earlier = origin_of(entry.config_class)
            if earlier is not None and (earlier.kind, earlier.name) == ("file", plugin.name):
                del kept[name]
        registry.restore(kept)


def _show_lines_of(plugin: Plugin) -> None:
    """Make tracebacks show the code that runs, not the current file at that path on this node."""
    lines = plugin.source.splitlines(keepends=True)
    linecache.cache[plugin.location] = (len(plugin.source), None, lines, plugin.location)


def _run(plugin: Plugin) -> Registrations:
    """Run a plugin file as a module and return what it registers."""
    before = registrations()
    _show_lines_of(plugin)
    module = ModuleType(plugin.module_name)
    module.__file__ = plugin.location
    sys.modules[plugin.module_name] = module
    try:
        code = compile(plugin.source, plugin.location, "exec", dont_inherit=True)
        with redirect_stdout(sys.stderr):  # standard output is reserved for --json
            exec(code, vars(module))
        own = [
            {name: entry for name, entry in new.items() if name not in old and not origin_of(entry.config_class)}
            for old, new in zip(before, registrations(), strict=True)
        ]
        refuse_misuse(own, plugin)
    except (Exception, SystemExit) as error:
        del sys.modules[plugin.module_name]
        if isinstance(error, PluginError):
            raise
        raise PluginError(f"{last_line_in(plugin, error)}: {in_words(error)}") from error
    return own


def last_line_in(plugin: Plugin, error: BaseException) -> str:
    """Return `file:line` of the last line of a plugin file in the traceback of `error`, or only the file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == plugin.location]
    return f"{plugin.location}:{lines[-1]}" if lines else plugin.location


def _refuse_siblings(tree: ast.Module, path: Path) -> None:
    """Refuse imports of modules in the file's folder: they would not be sent to workers or covered by the hash."""
    for line, module in _imports(tree):
        if module.startswith("."):
            raise PluginError(f"{path}:{line}: a relative import; {ONE_FILE}")
        top = module.partition(".")[0]
        if top not in LIBRARY and top not in sys.stdlib_module_names and _lies_in(path.parent, top):
            raise PluginError(f"{path}:{line}: imports '{top}', which lies beside it; {ONE_FILE}")


def _lies_in(folder: Path, name: str) -> bool:
    """Return whether `name` is a module in `folder`, or a folder there without `__init__.py`."""
    namespace = folder / name
    if (folder / f"{name}.py").is_file() or (namespace / "__init__.py").is_file():
        return True
    if not namespace.is_dir():
        return False
    spec = importlib.util.find_spec(name)  # an installed module of the same name takes precedence
    places = spec.submodule_search_locations or () if spec and spec.origin is None else ()
    return spec is None or namespace in [Path(place).resolve() for place in places]


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the module of every import, at any nesting level."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
