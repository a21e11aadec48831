"""Numbers in prose: statements of some forms are found by patterns, and checked by the rules.

Patterns do not understand: a number in another form is not seen. What matters has a record in YAML (`record`); this
finds slips.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from analysis.reported.finding import Finding, Linted
from analysis.reported.printed import NUMBER, Printed
from analysis.reported.rules.arithmetic import relative_change
from analysis.reported.rules.counts import count
from analysis.reported.rules.significance import p_of_t
from analysis.reported.rules.spread import is_population_deviation, mean_in_range, sample_deviation, within_interval

SUFFIXES = (".md", ".txt")
_N = rf"({NUMBER})"
_P = rf"({NUMBER}\s*%)"


class UnreadableFileError(ValueError):
    """A file that is no text."""


def read_prose(path: Path) -> Linted:
    """Return what is wrong with the numbers of a Markdown or text file.

    Raises:
        UnreadableFileError: If it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"{path}: cannot be read: {error}") from error
    return lint(text, str(path))


def lint(text: str, document: str) -> Linted:
    """Return what is wrong with the numbers of a text, by line."""
    checked = [*_of_code(text), *_of_patterns(text)]
    found = [
        Finding(document=document, line=text.count("\n", 0, start) + 1, rule=rule, text=wrong)
        for start, rule, wrong in sorted(checked, key=lambda one: one[:2])
        if wrong is not None
    ]
    return Linted(document=document, title=document, family=None, num_checks=len(checked), findings=tuple(found))


def _of_code(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield calls of NumPy's standard deviation, wherever Python stands in the text."""
    for call in re.finditer(r"\b(?:np|numpy)\.std\([^()]*\)", text):
        wrong = f"{call[0]} divides by n: of a few seeds that is too small; give ddof=1"
        yield call.start(), sample_deviation.__name__, wrong if is_population_deviation(_parsed(call[0])) else None


def _parsed(code: str) -> ast.AST:
    try:
        return ast.parse(code, mode="eval").body
    except SyntaxError:
        return ast.Module([], [])


def _count_in_brackets(found: re.Match[str]) -> str | None:
    rate, hits, items = found.groups()
    return count(Printed.parse(rate), _whole(items), _whole(hits))


def _count_before(found: re.Match[str]) -> str | None:
    hits, items, rate = found.groups()
    return count(Printed.parse(rate), _whole(items), _whole(hits))


def _change_after(found: re.Match[str]) -> str | None:
    before, after, change = found.groups()
    return relative_change(Printed.parse(change), Printed.parse(before), Printed.parse(after))


def _change_before(found: re.Match[str]) -> str | None:
    change, before, after = found.groups()
    return relative_change(Printed.parse(change), Printed.parse(before), Printed.parse(after))


def _interval(found: re.Match[str]) -> str | None:
    return within_interval(*map(Printed.parse, found.groups()))


def _mean(found: re.Match[str]) -> str | None:
    n, mean, low, high = found.groups()
    return mean_in_range(Printed.parse(mean), Printed.parse(low), Printed.parse(high), _whole(n))


def _p(found: re.Match[str]) -> str | None:
    df, t, relation, p = found.groups()
    return p_of_t(Printed.parse(p), Printed.parse(t), float(df), relation=relation)  # type: ignore[arg-type]


def _whole(text: str) -> int:
    return int(text.replace(",", ""))


_SMALL = r"([\d,]+)"
_PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], str | None]], ...] = (
    ("count", re.compile(rf"{_N[:-1]}\s*%?)\s+\({_SMALL}\s*(?:/|of)\s*{_SMALL}\)"), _count_in_brackets),
    ("count", re.compile(rf"\b{_SMALL}\s*(?:/|of)\s*{_SMALL}\s+\({_P}\)"), _count_before),
    (
        "relative_change",
        re.compile(rf"{_N}\s*(?:→|to)\s*{_N}(?!\s*%)[^.;|%]{{0,20}}?[(=,:]\s*{_P}"),
        _change_after,
    ),
    ("relative_change", re.compile(rf"{_P}\s+\(\s*(?:from\s+)?{_N}\s*(?:→|to)\s*{_N}\s*\)"), _change_before),
    ("within_interval", re.compile(rf"(?<![\w.,]){_N}\s*(?:\|\s*)?\[{_N},\s+{_N}\]"), _interval),
    (
        "mean_in_range",
        re.compile(
            rf"n\s*=\s*(\d+)[^.;]{{0,20}}mean[\s:=]+{_N}[^;]{{0,20}}min(?:imum)?[\s:=]+{_N}[^;]{{0,20}}max(?:imum)?[\s:=]+{_N}"
        ),
        _mean,
    ),
    ("p_of_t", re.compile(rf"\bt\((\d+(?:\.\d+)?)\)\s*=\s*{_N},?\s+p\s*([=<>])\s*{_N}"), _p),
)
"""Rule, the form in which prose says it, and how it is checked."""


def _of_patterns(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield where a statement stands, the rule that it is checked by, and what is wrong with it."""
    for rule, pattern, check in _PATTERNS:
        for found in pattern.finditer(text):
            try:
                yield found.start(), rule, check(found)
            except (ValueError, ZeroDivisionError):
                continue  # it has the form, but is no such statement: 5 of 0
