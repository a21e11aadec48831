"""YAML with the line of every key, so that an error can point at it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from sweeps.errors import UserError
from sweeps.fields import KeyPath

MERGE_TAG = "tag:yaml.org,2002:merge"
MAX_DEPTH = 30


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-3` as a string; this loader reads it as the number that everybody means."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse_scalar(text: str, where: str) -> Any:
    """Read one value as it would be read from a study file: `--set key=value`.

    Args:
        text: The value.
        where: For the message.

    Raises:
        UserError: If `text` is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = yaml_problem(error)
        raise UserError(f"{where}: not valid YAML: {problem}; put it in quotes if it is text") from error


def yaml_problem(error: yaml.YAMLError) -> str:
    """Return in one line what is wrong with a YAML text."""
    if isinstance(error, yaml.MarkedYAMLError):
        return str(error.problem)
    if isinstance(error, ReaderError):
        return f"character {error.character:#x} at place {error.position} is not allowed"
    return str(error)


def _line_of(error: yaml.YAMLError, text: str) -> int:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return int(error.problem_mark.line) + 1
    if isinstance(error, ReaderError):
        return text.count("\n", 0, error.position) + 1
    return 1


class YamlSource:
    """A YAML file as data, with the line of each key."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines: dict[KeyPath, int] = {}
        try:
            node = yaml.compose(text, Loader=_Loader)
            if node is not None:
                self._index(node, ())
            self.data: Any = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as error:
            raise UserError(f"{path}:{_line_of(error, text)}: not valid YAML: {yaml_problem(error)}") from error

    @classmethod
    def read(cls, path: Path) -> YamlSource:
        """Read `path`.

        Raises:
            UserError: If it cannot be read or is not valid YAML, or names a key twice.
        """
        try:
            return cls(path, path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error

    def _index(self, node: yaml.Node, at: KeyPath) -> None:
        if len(at) > MAX_DEPTH:
            raise UserError(f"{self.path}:{node.start_mark.line + 1}: nested too deeply, or an alias of itself")
        self._lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                if key_node.tag != MERGE_TAG:
                    self._index_key(key_node, value_node, at)
            for key_node, value_node in node.value:  # after the mapping's own keys, which win
                if key_node.tag == MERGE_TAG:
                    self._index_merged(value_node, at)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._index(item, (*at, index))

    def _index_key(self, key_node: yaml.Node, value_node: yaml.Node, at: KeyPath) -> None:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise UserError(f"{self.path}:{line}: a key must be a plain word")
        path = (*at, key_node.value)
        if path in self._lines:
            raise UserError(
                f"{self.path}:{line}: key '{key_node.value}' stands twice "
                f"(first on line {self._lines[path]}); keep one"
            )
        self._lines[path] = line
        self._index(value_node, path)

    def _index_merged(self, node: yaml.Node, at: KeyPath) -> None:
        """Index the keys that `<<: *alias` brings in, at the lines where the alias wrote them."""
        for mapping in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            for key_node, value_node in mapping.value:
                if (*at, key_node.value) not in self._lines:
                    self._index_key(key_node, value_node, at)

    def has(self, key: KeyPath) -> bool:
        """Return whether the file has this very key."""
        return key in self._lines

    def where(self, key: KeyPath) -> str:
        """Return `file:line` of `key`, or of its nearest ancestor that the file has."""
        while key and key not in self._lines:
            key = key[:-1]
        return f"{self.path}:{self._lines.get(key, 1)}"
