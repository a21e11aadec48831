"""The small language of conditions: `coupling != 0 or learn_coupling`, over dotted field names.

Names, literals, comparisons, `in`, `and`, `or`, `not`; nothing is ever called. A comparison with an absent field
is *unknown*, and unknown follows Kleene's three-valued logic: `x or True` is true whatever x is.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


class _AbsentError(LookupError):
    """A comparison needs a field that has no value."""


@dataclass(frozen=True)
class Expression:
    """A condition on the fields of one configuration.

    Raises:
        ValueError: If the text is not in the language; the message quotes the offending part.
    """

    text: str
    names: tuple[str, ...] = field(init=False, compare=False)
    """Dotted names the text refers to, sorted."""
    _tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            tree = ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise ValueError(f"condition {self.text!r} cannot be read: {error.msg}") from error
        found: set[str] = set()
        _check_truth(tree, self.text, found)
        object.__setattr__(self, "names", tuple(sorted(found)))
        object.__setattr__(self, "_tree", tree)

    def evaluate(self, values: Mapping[str, Any]) -> bool | None:
        """Return whether it holds for `values`; None if absent fields leave it open.

        Raises:
            ValueError: If values of different types are ordered, such as a name and a number.
        """
        try:
            return _truth(self._tree, values)
        except TypeError as error:
            raise ValueError(f"condition {self.text!r} cannot be applied: {error}") from error

    def within(self, section: str) -> str:
        """Return the text with every name as a field of `section`: `coupling != 0` as `section.coupling != 0`."""
        tree = ast.parse(self.text, mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = f"{section}.{node.id}"
        return ast.unparse(tree)


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        prefix = _dotted(node.value)
        return prefix and f"{prefix}.{node.attr}"
    return None


def _refuse(node: ast.expr, text: str) -> ValueError:
    return ValueError(
        f"condition {text!r}: {ast.unparse(node)!r} is not a field, a literal, a comparison, and, or, not"
    )


def _check_truth(node: ast.expr, text: str, found: set[str]) -> None:
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            _check_truth(value, text, found)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _check_truth(node.operand, text, found)
    elif isinstance(node, ast.Compare):
        if any(type(op) not in _COMPARISONS for op in node.ops):
            raise _refuse(node, text)
        for value in (node.left, *node.comparators):
            _check_value(value, text, found)
    elif (name := _dotted(node)) is not None:
        found.add(name)
    else:
        raise _refuse(node, text)


def _check_value(node: ast.expr, text: str, found: set[str]) -> None:
    name = _dotted(node)
    if name is not None:
        found.add(name)
        return
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise _refuse(node, text) from error


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    name = _dotted(node)
    if name is None:
        return ast.literal_eval(node)
    if name not in values:
        raise _AbsentError(name)
    return values[name]


def _truth(node: ast.expr, values: Mapping[str, Any]) -> bool | None:
    if isinstance(node, ast.BoolOp):
        parts = [_truth(value, values) for value in node.values]
        decides = isinstance(node.op, ast.Or)
        if decides in parts:
            return decides
        return None if None in parts else not decides
    if isinstance(node, ast.UnaryOp):
        inner = _truth(node.operand, values)
        return None if inner is None else not inner
    try:
        if isinstance(node, ast.Compare):
            operands = [_value(part, values) for part in (node.left, *node.comparators)]
            pairs = zip(node.ops, operands, operands[1:], strict=False)
            return all(_COMPARISONS[type(op)](left, right) for op, left, right in pairs)
        return bool(_value(node, values))
    except _AbsentError:
        return None
