"""Records of what documents report: numbers with their lines, and checks of them, in YAML.

The record of a document names the numbers that its claims rest on. What the document says is copied as text, so
that its digits count; a check names a rule of `rules` and the numbers that it is about.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from analysis.reported.finding import Finding, Linted
from analysis.reported.printed import Printed, Span
from analysis.reported.rules import arithmetic, context, counts, significance, spread
from analysis.suggestions import did_you_mean

Rule = Callable[..., str | None]

RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        counts.count,
        counts.parts,
        spread.mean_in_range,
        spread.deviation_in_range,
        spread.sample_deviation,
        spread.within_interval,
        arithmetic.relative_change,
        arithmetic.product,
        arithmetic.order,
        arithmetic.total,
        arithmetic.convex,
        arithmetic.superlative,
        significance.p_of_t,
        significance.selected,
        significance.beyond_chance,
        context.cosine_of_rotation,
        context.flat_spectrum,
        context.named_corpus,
    )
}
"""Every rule, by the name that a check gives it."""

_OF_A_CHECK = ("rule", "line")
_OF_A_NUMBER = ("value", "line", "of")
_OF_A_RECORD = ("document", "title", "family", "numbers", "checks")


class RecordError(ValueError):
    """A record that cannot be read; the message names file, key, value and fix."""


def library() -> list[Linted]:
    """Return what is found in the four published documents, from their records."""
    folder = resources.files("analysis.reported")
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".yaml")), key=lambda item: item.name)
    return [_read(file.read_text(encoding="utf-8"), file.name) for file in files]


def read_record(path: Path) -> Linted:
    """Read a record and run its checks.

    Raises:
        RecordError: If it cannot be read.
    """
    try:
        return _read(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error


def _read(text: str, file: str) -> Linted:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecordError(f"{file}: no YAML: {' '.join(str(error).split())}") from error
    given = _mapping(content, file, _OF_A_RECORD)
    document = str(given.get("document", file))
    numbers = {str(name): _number(entry, f"{file}: numbers: {name}") for name, entry in _items(given, file)}
    checks = given.get("checks", [])
    if not isinstance(checks, list):
        raise RecordError(f"{file}: checks: must be a list")
    run = (_run(check, numbers, document, f"{file}: check {place}") for place, check in enumerate(checks, start=1))
    return Linted(
        document=document,
        title=str(given.get("title", document)),
        family=given.get("family"),
        num_checks=len(checks),
        findings=tuple(sorted((one for one in run if one is not None), key=lambda one: one.line or 0)),
    )


def _items(given: Mapping[str, Any], file: str) -> Sequence[tuple[Any, Any]]:
    numbers = given.get("numbers") or {}
    if not isinstance(numbers, dict):
        raise RecordError(f"{file}: numbers: must map names to numbers")
    return list(numbers.items())


def _number(entry: Any, place: str) -> Span:
    given = _mapping(entry, place, _OF_A_NUMBER)
    value = given.get("value")
    if not isinstance(value, str):
        raise RecordError(f'{place}: value: must be text, so that its digits count: write "{value}"')
    line = given.get("line")
    if line is not None and not isinstance(line, int):
        raise RecordError(f"{place}: line: must be a number, got {line!r}")
    try:
        return Span.parse(value, line)
    except ValueError as error:
        raise RecordError(f"{place}: value: {error}") from error


def _run(check: Any, numbers: Mapping[str, Span], document: str, place: str) -> Finding | None:
    given = dict(check) if isinstance(check, dict) else {}
    name, line = given.pop("rule", None), given.pop("line", None)
    if name not in RULES:
        raise RecordError(f"{place}: rule: unknown {name!r}; {did_you_mean(str(name), RULES)}")
    parameters = inspect.signature(RULES[name], eval_str=True).parameters
    where = f"{place} ({name})"
    for key in given:
        if key not in parameters:
            raise RecordError(f"{where}: {key}: unknown key; {did_you_mean(str(key), [*parameters, *_OF_A_CHECK])}")
    bound = {}
    for key, parameter in parameters.items():
        if key in given:
            bound[key] = _bound(given[key], parameter.annotation, numbers, f"{where}: {key}")
        elif parameter.default is inspect.Parameter.empty:
            raise RecordError(f"{where}: {key}: missing")
    try:
        text = RULES[name](**bound)
    except ValueError as error:
        raise RecordError(f"{where}: {error}") from error
    lines = [one.line for one in bound.values() if isinstance(one, Printed | Span)]
    if text is None:
        return None
    return Finding(document=document, line=line or next(iter(lines), None), rule=name, text=text)


def _bound(value: Any, annotation: Any, numbers: Mapping[str, Span], place: str) -> Any:
    """Return the value of a key as the rule's parameter wants it."""
    wanted = (annotation, *get_args(annotation))
    if get_origin(annotation) is Sequence:
        (kind,) = get_args(annotation)
        listed = value if isinstance(value, list) else [value]
        return [_bound(item, kind, numbers, place) for item in listed]
    if Printed in wanted or Span in wanted:
        named = _named(value, numbers, place)
        if Span in wanted:
            return named
        if named.first is not named.last:
            raise RecordError(f"{place}: '{value}' is a range, {named.text}; one number is needed")
        return named.first
    kinds = tuple(kind for kind in wanted if isinstance(kind, type))
    choices = tuple(choice for choice in wanted if isinstance(choice, str | int) and not isinstance(choice, type))
    if (choices and value not in choices) or (kinds and not choices and not _is_of(value, kinds)):
        known = ", ".join(map(str, choices)) or " or ".join(kind.__name__ for kind in kinds)
        raise RecordError(f"{place}: must be {known}, got {value!r}")
    return value


def _is_of(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, (*kinds, int) if float in kinds else kinds) and not isinstance(value, bool)


def _named(value: Any, numbers: Mapping[str, Span], place: str) -> Span:
    """Return the number that a check names."""
    if value not in numbers:
        raise RecordError(f"{place}: no number '{value}' in the record; {did_you_mean(str(value), numbers)}")
    return numbers[value]


def _mapping(content: Any, place: str, known: Sequence[str]) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RecordError(f"{place}: must be a mapping with keys {', '.join(known)}")
    for key in content:
        if key not in known:
            raise RecordError(f"{place}: {key}: unknown key; {did_you_mean(str(key), known)}")
    return content
