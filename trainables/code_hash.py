"""The hash of the code that computes results: results of different code are not replicates of one another."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from trainables.atomic_write import write_text_atomic
from trainables.user_cache import cache_folder

_DIGITS = 12
_COMPUTING = (
    "trainables/batch.py",
    "trainables/metric.py",
    "trainables/schema.py",
    "trainables/randomness.py",
    "trainables/config",
    "trainables/data",
    "trainables/layers",
    "trainables/diagnostics",
    "trainables/architectures",
    "trainables/tasks",
    "trainables/training",
    "search_spaces/irrational.py",
)
"""What determines a number, relative to the folder above this package; other code only handles results."""


@cache
def code_hash() -> str:
    """Return the hash of the code that computes results as installed on this node, committed or not.

    Plugins are not included: each is part of the `config_id` of what it registers. Reading all sources takes half
    a second, so the hash is kept in the user's cache until a file changes; without a cache it is made every time.

    Raises:
        FileNotFoundError: If a part of this installation is missing.
    """
    root = Path(__file__).parent.parent
    kept = cache_folder("code") / _state_of_sources(root)
    with suppress(OSError):
        found = kept.read_text(encoding="utf-8")
        if len(found) == _DIGITS:  # not cut off by a full disk
            return found
    made = hash_of_sources(root)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(kept, made)
    return made


def _state_of_sources(root: Path) -> str:
    """Return a name for what the sources are, without reading them: Python's version, sizes and times of change.

    The time of a file's last change of status cannot be set by hand, unlike that of its content.
    """
    digest = hashlib.sha256(repr(sys.version_info).encode())
    for source in (Path(__file__), *_sources(root)):
        status = source.stat()
        digest.update(f"{source} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n".encode())
    return digest.hexdigest()[:32]


def hash_of_sources(root: Path) -> str:
    """Return the hash of the computing modules below `root`, their names included: 12 hexadecimal digits.

    It covers code only: comments, docstrings and layout change no number.

    Raises:
        FileNotFoundError: If one of them is missing.
    """
    digest = hashlib.sha256()
    for source in _sources(root):
        code = _code_of(source).encode()
        digest.update(f"{source.relative_to(root).as_posix()} {len(code)}\n".encode())
        digest.update(code)
    return digest.hexdigest()[:_DIGITS]


def _sources(root: Path) -> Iterator[Path]:
    """Yield the files of `_COMPUTING`."""
    for name in _COMPUTING:
        path = root / name
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: the hash of the code would not cover it")
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def _code_of(source: Path) -> str:
    """Return a text that is equal for equal code."""
    tree = ast.parse(source.read_bytes(), filename=str(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_prose(statement)]
    return ast.dump(tree)


def _is_prose(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring, of whatever stands above or before it."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return False
    return isinstance(statement.value.value, str)
