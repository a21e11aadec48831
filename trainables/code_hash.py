"""The hash of the code that computes results: results of different code are not replicates of one another."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

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

    Plugins are not included: each is part of the `config_id` of what it registers.

    Raises:
        FileNotFoundError: If a part of this installation is missing.
    """
    return hash_of_sources(Path(__file__).parent.parent)


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
    return digest.hexdigest()[:12]


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
