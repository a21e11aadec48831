"""No function is so long that it cannot be seen at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.unit.repository.test_floor_plan import modules

MOST_LINES = 50
"""Of a function, without its docstring."""


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield every function, nested ones too, with its lines without its docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node) else 0)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions_stay_short() -> None:
    found = [
        (name, function, lines)
        for name, path in modules().items()
        for function, lines in functions(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 3000  # so functions are still found
    assert not [one for one in found if one[2] > MOST_LINES]


@pytest.mark.parametrize(
    ("body", "lines"),
    [("    return 1", 2), ('    """Say\n\n    more."""\n    return 1', 2), ("    x = [\n        1,\n    ]", 4)],
)
def test_docstrings_do_not_count(body: str, lines: int) -> None:
    assert list(functions(f"def f():\n{body}\n")) == [("f", lines)]
    inside = body.replace("\n", "\n    ")
    assert ("f", lines) in functions(f"def g():\n    def f():\n    {inside}\n")
