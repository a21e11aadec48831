"""YAML 1.2 as data, with the line of every key, so that an error can point at it.

Only null, true and false, numbers, text, lists and mappings are read, by the core schema: `no`, `on`, `1:30` and
dates are texts. What is ambiguous or unreadable is refused with its line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yaml import AliasEvent, CSafeLoader, MappingNode, MarkedYAMLError, ScalarNode, SequenceNode, YAMLError
from yaml.composer import Composer

from sweeps.errors import UserError
from sweeps.fields import KeyPath

MAX_BYTES = 200_000
MAX_DEPTH = 30
MAX_VALUES = 100_000
"""Most keys and values of a file, counted again wherever an alias repeats them."""
MAX_INTEGER = 2**63 - 1
MAX_SHOWN = 40
"""Most characters of a value that a message quotes."""

_NOT_YAML = "not valid YAML"
_TOO_DEEP = "nested too deeply"
_PLAIN = "plain"
"""Tag of a scalar without quotes, whose type is not resolved yet."""

_CORE = "tag:yaml.org,2002:"
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"(?P<true>true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")


class _AsWritten(Composer, CSafeLoader):
    """Composes what libyaml parses. A quoted scalar is text; the type of one without quotes is not resolved yet."""

    def __init__(self, text: str) -> None:
        CSafeLoader.__init__(self, text)
        Composer.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if self._depth > MAX_DEPTH:
            raise MarkedYAMLError(problem=_TOO_DEEP, problem_mark=event.start_mark)
        if not isinstance(event, AliasEvent):
            self.anchors.pop(event.anchor, None)  # YAML allows a second one: it applies from there on
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return _PLAIN if kind is ScalarNode and implicit[0] else str(super().resolve(kind, value, implicit))


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN // 2]}… ({len(text)} characters)"


def _integer(text: str) -> int:
    if _LEADING_ZERO.fullmatch(text):
        raise ValueError(f"{_short(text)} is a number with a leading zero; leave it out, or put text in quotes")
    if len(text) > len(hex(MAX_INTEGER)) + 8 or abs(number := int(text, 0)) > MAX_INTEGER:
        raise ValueError(f"{_short(text)} is beyond {MAX_INTEGER}; write a smaller number, or put text in quotes")
    return number


def _floating(text: str) -> float:
    number = float(text.replace(".inf", "inf").replace(".nan", "nan")) if text[-1].isalpha() else float(text)
    if math.isinf(number) and text[-1].isdigit():
        raise ValueError(f"{_short(text)} is beyond the numbers of a computer; write a smaller one")
    return number


_READERS: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    "null": (_NULL, lambda text: None),
    "bool": (_BOOL, lambda text: text.lower() == "true"),
    "int": (_INT, _integer),
    "float": (_FLOAT, _floating),
}
"""The types of the core schema in the order in which they are tried, each with its parser."""


def _scalar(tag: str, text: str | None) -> Any:
    """Return the value of a scalar; `text` is None for a list or a mapping.

    Raises:
        ValueError: If the text is not of its type, or the type not in the core schema; it says what to write.
    """
    kind = tag.removeprefix(_CORE)
    if text is None or (tag != _PLAIN and kind not in {"str", *_READERS}):
        raise ValueError(f"the type {tag.replace(_CORE, '!!')} is not for this value; leave it out")
    if "\0" in text:
        raise ValueError("a text has no zero bytes; leave them out")
    if kind == "str":
        return text
    if kind in _READERS:
        pattern, read = _READERS[kind]
        if not pattern.fullmatch(text):
            raise ValueError(f"'{_short(text)}' is no {kind}; correct it, or leave out !!{kind}")
        return read(text)
    return next((read(text) for pattern, read in _READERS.values() if pattern.fullmatch(text)), text)


def yaml_problem(error: Exception) -> str:
    """Return an error of PyYAML in one line."""
    if isinstance(error, UnicodeEncodeError):
        half = ord(error.object[error.start])
        return f"character {half:#x} is half of a surrogate pair; write the character itself"
    if isinstance(character := getattr(error, "character", None), int):
        return f"character {character:#x} at place {getattr(error, 'position', 0)} is not allowed"
    problem, context = getattr(error, "problem", None), getattr(error, "context", None)
    if problem is None:
        return str(error)
    return f"{context}, {problem}" if str(problem).startswith("but ") else str(problem)


def parse_scalar(text: str, where: str) -> Any:
    """Read the value of `--set key=value` by the rules of a study file.

    Args:
        text: The value.
        where: Where the value was given, for the message.

    Raises:
        UserError: If `text` is not YAML.
    """
    try:
        return YamlSource(Path(), text).data
    except YamlError as error:
        hint = "; put it in quotes if it is text" if error.problem.startswith(_NOT_YAML) else ""
        raise UserError(f"{where}: {error.problem}{hint}") from error


class YamlError(UserError):
    """A text that is not YAML, or is ambiguous."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.problem = problem


class YamlSource:
    """A YAML file as data, with the line of each key."""

    def __init__(self, path: Path, text: str) -> None:
        """Read `text`, the contents of `path`.

        Raises:
            UserError: If it is not YAML, has a key twice, or is ambiguous.
        """
        self.path = path
        self._lines: dict[KeyPath, int] = {}
        self._num_values = 0
        node = self._compose(text)
        self.data: Any = None if node is None else self._value(node, ())

    @classmethod
    def read(cls, path: Path) -> YamlSource:
        """Read `path`.

        Raises:
            UserError: If it cannot be read, is not valid YAML, or has a key twice.
        """
        try:
            if (size := path.stat().st_size) > MAX_BYTES:
                raise UserError(f"{path}: {size} bytes are too many for a study; at most {MAX_BYTES} are read")
            return cls(path, path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error

    def locate(self, key: KeyPath) -> str | None:
        """Return `file:line` of exactly this key; None if the file does not have it."""
        return f"{self.path}:{self._lines[key]}" if key in self._lines else None

    def where(self, key: KeyPath) -> str:
        """Return `file:line` of `key`, or of its nearest ancestor that the file has."""
        while key and key not in self._lines:
            key = key[:-1]
        return f"{self.path}:{self._lines.get(key, 1)}"

    def _compose(self, text: str) -> Any:
        try:
            return _AsWritten(text).get_single_node()
        except (YAMLError, UnicodeEncodeError) as error:
            mark = getattr(error, "problem_mark", None)
            place = error.start if isinstance(error, UnicodeEncodeError) else getattr(error, "position", 0)
            line = mark.line if mark else text.count("\n", 0, place)
            problem = yaml_problem(error)
            said = problem if problem == _TOO_DEEP else f"{_NOT_YAML}: {problem}"
            raise YamlError(f"{self.path}:{line + 1}", said) from error

    def _refuse(self, node: Any, at: KeyPath, problem: str) -> YamlError:
        key = ".".join(map(str, at))
        return YamlError(f"{self.path}:{node.start_mark.line + 1}{f': {key}' if key else ''}", problem)

    def _value(self, node: Any, at: KeyPath) -> Any:
        self._num_values += 1
        if self._num_values > MAX_VALUES:
            problem = f"more than {MAX_VALUES} values, or aliases that repeat too much; write fewer"
            raise self._refuse(node, at[:1], problem)
        if len(at) > MAX_DEPTH:
            raise self._refuse(node, at[:1], "nested too deeply, or an alias of itself")
        self._lines.setdefault(at, node.start_mark.line + 1)
        tag = str(node.tag)
        if isinstance(node, MappingNode) and tag == f"{_CORE}map":
            return self._mapping(node, at)
        if isinstance(node, SequenceNode) and tag == f"{_CORE}seq":
            return [self._value(item, (*at, index)) for index, item in enumerate(node.value)]
        try:
            return _scalar(tag, node.value if isinstance(node, ScalarNode) else None)
        except ValueError as error:
            raise self._refuse(node, at, str(error)) from error

    def _mapping(self, node: Any, at: KeyPath) -> dict[str, Any]:
        """Return a mapping; all keys are text. Its own keys take precedence over those merged by `<<`."""
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        sources: list[Any] = []
        for key_node, value_node in node.value:
            if key_node.value == "<<" and str(key_node.tag) == _PLAIN:
                sources += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            else:
                self._add(own, key_node, value_node, at)
        for source in sources:
            if not isinstance(source, MappingNode):
                raise self._refuse(source, (*at, "<<"), "takes a mapping, or a list of mappings; as in <<: *alias")
            for key_node, value_node in source.value:
                if key_node.value not in own and key_node.value not in merged:
                    self._add(merged, key_node, value_node, at)
        return {**merged, **own}

    def _add(self, found: dict[str, Any], key_node: Any, value_node: Any, at: KeyPath) -> None:
        if not isinstance(key_node, ScalarNode):
            raise self._refuse(key_node, at, "a key must be a plain word")
        key, path = key_node.value, (*at, key_node.value)
        try:
            _scalar(f"{_CORE}str", key)
        except ValueError as error:
            raise self._refuse(key_node, at, f"a key: {error}") from error
        if key in found:
            problem = f"key '{key}' stands twice (first on line {self._lines[path]}); keep one"
            raise YamlError(f"{self.path}:{key_node.start_mark.line + 1}", problem)
        self._lines[path] = key_node.start_mark.line + 1
        found[key] = self._value(value_node, path)
