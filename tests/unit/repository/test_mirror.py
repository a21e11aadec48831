"""Every module that does something has a test file of its own, or stands in a list that only gets shorter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.sweeps.guides import ROOT
from tests.unit.repository.test_floor_plan import modules

UNIT = ROOT / "tests" / "unit"
LISTED = UNIT / "without_test_file.txt"
"""Modules that only tests of other modules go through. A new module gets a test file, not a line here."""
MOST_LISTED = 226
"""Lower it when the list has become shorter."""


def does_something(source: str) -> bool:
    """Return whether a module defines a function, a method or a lambda; types and constants do nothing."""
    does = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return any(isinstance(node, does) for node in ast.walk(ast.parse(source)))


def has_a_test(file: Path) -> bool:
    """Return whether a file exists and holds a test."""
    return file.is_file() and "\ndef test_" in file.read_text(encoding="utf-8")


def without_test_file() -> set[str]:
    """Return the modules that do something and have no `tests/unit/<folder>/test_<name>.py`."""
    paths = (path.relative_to(ROOT) for path in modules().values() if not path.stem.startswith("__"))
    lacking = (path for path in paths if not has_a_test(UNIT / path.with_name(f"test_{path.name}")))
    return {path.as_posix() for path in lacking if does_something((ROOT / path).read_text(encoding="utf-8"))}


def listed() -> list[str]:
    lines = LISTED.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_a_module_without_a_test_file_is_listed() -> None:
    new = without_test_file() - set(listed())
    assert not new, f"write tests/unit/<folder>/test_<name>.py for {sorted(new)}"


def test_the_list_only_gets_shorter() -> None:
    done = set(listed()) - without_test_file()
    assert not done, f"these have a test file or are gone; remove their lines from {LISTED.name}: {sorted(done)}"
    assert listed() == sorted(set(listed()))
    assert len(listed()) == MOST_LISTED


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("X = 1\n", False),
        ("class A(TypedDict):\n    x: int\n", False),
        ("class A:\n    def f(self): ...\n", True),
        ("async def f(): ...\n", True),
        ("TABLE = {'a': lambda x: x + 1}\n", True),
    ],
)
def test_modules_of_types_and_constants_need_none(source: str, expected: bool) -> None:
    assert does_something(source) == expected
