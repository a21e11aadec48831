"""Means, deviations and intervals, and the values that they can be of."""

from __future__ import annotations

import ast
import math

from analysis.reported.printed import Printed


def mean_in_range(mean: Printed, low: Printed, high: Printed, n: int) -> str | None:
    """A mean of n values lies between what it is with all but one at either end."""
    least = ((n - 1) * low.low + high.low) / n
    most = (low.high + (n - 1) * high.high) / n
    if mean.holds(least, most):
        return None
    where = f"at least {least:.6g}" if mean.high < least else f"at most {most:.6g}"
    return f"the mean of {n} values from {low.text} to {high.text} is {where}, not {mean.text}"


def deviation_in_range(deviation: Printed, low: Printed, high: Printed, n: int) -> str | None:
    """A standard deviation of n values is at least that of the range's two ends and n − 2 values midway.

    That is range / √(2n) with n in the denominator, range / √(2(n − 1)) with n − 1. It is at most that of values at
    the two ends only.
    """
    narrow, wide = max(0.0, high.low - low.high), high.high - low.low
    least = narrow / math.sqrt(2 * n)
    most = wide * math.sqrt((n // 2) * (n - n // 2) / (n * (n - 1)))
    if deviation.holds(least, most):
        return None
    if deviation.high < least:
        sample = narrow / math.sqrt(2 * (n - 1))
        said = f"at least {least:.5g} with n in the denominator, {sample:.5g} with n − 1"
    else:
        said = f"at most {most:.5g}"
    return f"the standard deviation of {n} values from {low.text} to {high.text} is {said}, not {deviation.text}"


def sample_deviation(code: str, n: int) -> str | None:
    """A deviation over a few seeds has n − 1 in the denominator; NumPy's has n unless told otherwise.

    Raises:
        ValueError: If the code is no Python expression.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        raise ValueError(f"code: no Python: {error.msg}") from error
    if not any(is_population_deviation(node) for node in ast.walk(tree)):
        return None
    share = math.sqrt((n - 1) / n)
    return f"{code} divides by n: of {n} values that is {share:.3f} of the sample's deviation; give ddof=1"


def is_population_deviation(node: ast.AST) -> bool:
    """Return whether a piece of Python is a call of NumPy's standard deviation without `ddof`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "std"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"np", "numpy"}
        and not any(keyword.arg == "ddof" for keyword in node.keywords)
    )


def within_interval(value: Printed, low: Printed, high: Printed) -> str | None:
    """An estimate lies within its interval."""
    if low.value > high.value:
        return f"the interval [{low.text}, {high.text}] ends before it begins"
    if value.holds(low.low, high.high):
        return None
    return f"{value.text} lies outside of its interval [{low.text}, {high.text}]"
