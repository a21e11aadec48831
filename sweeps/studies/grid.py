"""The `grid:` of a study: many arms from a few lines.

The points of a design (`search_spaces.designs`) become arms. Points that compute the same (without coupling there
is neither sign nor causality) become one arm; only the fields that distinguish it from other arms are in its name
and in its overlay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from search_spaces.conditions import Expression
from search_spaces.designs import Point, points
from search_spaces.dimensions import Choice, Constant, Dimension, freeze, identity
from search_spaces.space import Condition, Forbidden, SearchSpace
from sweeps.errors import UserError, nearest
from sweeps.fields import SECTIONS, KeyPath, merge, nest
from sweeps.studies.schema.names import LABEL
from sweeps.studies.schema.study import ArmSpec, ConfigOverlay, GridField, GridMark, GridSpec
from sweeps.studies.study import Expansion

MAX_POINTS = 10_000


Where = Callable[[KeyPath], str]
"""Returns `file:line` of a key of the study."""

Canonical = Callable[[dict[str, Any], str], str]
"""Returns the canonical form of the configuration that an overlay makes; the text names the point in errors."""


def expand(grid: GridSpec, where: Where, canonical: Canonical) -> tuple[Expansion, dict[str, ArmSpec]]:
    """Make the arms of a grid; return the counts, and the arms by name.

    Args:
        grid: The grid as written.
        where: For messages.
        canonical: Returns equal texts for overlays that compute the same. Raises UserError for a point that is not
            a valid configuration.

    Raises:
        UserError: If the grid is not valid; the message names file, line and fix.
    """
    return _Expander(grid, where).expansion(canonical)


def check(grid: GridSpec, where: Where) -> int:
    """Check a grid as far as that needs no configuration: its fields, labels, conditions, marks and size.

    Returns:
        The most arms that it may make: points that compute the same become one.

    Raises:
        UserError: If the grid is not valid.
    """
    allowed, _ = _Expander(grid, where).points()
    return len(allowed)


class _Expander:
    def __init__(self, grid: GridSpec, where: Where) -> None:
        self.grid, self.where = grid, where
        self.shared = ConfigOverlay.as_overlay(grid)
        self.labels = {name: self._labels(name, field) for name, field in grid.fields.items()}
        self.space = self._space()
        self.marks = [(self._expression(index, mark), mark) for index, mark in enumerate(grid.marks)]

    def points(self) -> tuple[list[Point], int]:
        """Return the points of the design that are not forbidden, and how many are."""
        try:
            design = points(
                self.grid.design,
                {name: field.values for name, field in self.grid.fields.items()},
                resolution=self.grid.resolution,
                at_most=MAX_POINTS,
            )
        except ValueError as error:
            raise self._error(("design",), str(error)) from error
        allowed = [point for point in design if not self._refuses(point)]
        if not allowed:
            raise self._error(("forbid",), "leaves no point of the grid")
        return allowed, len(design) - len(allowed)

    def expansion(self, canonical: Canonical) -> tuple[Expansion, dict[str, ArmSpec]]:
        allowed, num_forbidden = self.points()
        arms: dict[str, ArmSpec] = {}
        shown: dict[str, Point] = {}
        for group in self._groups(allowed, canonical):
            point, overlay = self._representative(group, canonical)
            name, arm = self._arm(point, overlay)
            if name in arms:
                raise self._error(
                    ("fields",),
                    f"{self._in_words(shown[name])} and {self._in_words(point)} "
                    f"are both named '{name}'; give other labels",
                )
            arms[name], shown[name] = arm, point
        return Expansion(tuple(arms), len(allowed) + num_forbidden, num_forbidden), arms

    def _groups(self, design: list[Point], canonical: Canonical) -> Iterable[list[Point]]:
        """Return groups of points that compute the same, in the design's order."""
        groups: dict[str, list[Point]] = {}
        for point in design:
            reduced = self.space.canonical(point)
            groups.setdefault(self._compute(reduced, canonical), []).append(reduced)
        return groups.values()

    def _representative(self, group: list[Point], canonical: Canonical) -> tuple[Point, dict[str, Any]]:
        """Return the fields that a group's points share, and the overlay that makes their configuration."""
        first = group[0]
        common = {
            name: value
            for name, value in first.items()
            if all(name in other and identity(other[name]) == identity(value) for other in group)
        }
        if len(common) < len(first) and self._compute(common, canonical) != self._compute(first, canonical):
            return common, self._overlay(first)  # two values may be one setting, such as null and its default
        return common, self._overlay(common)

    def _compute(self, point: Point, canonical: Canonical) -> str:
        return canonical(self._overlay(point), f"grid point {self._in_words(point)}")

    def _overlay(self, point: Point) -> dict[str, Any]:
        overlay = self.shared
        for name, value in point.items():
            overlay = merge(overlay, nest(name, list(value) if isinstance(value, tuple) else value))
        return overlay

    def _arm(self, point: Point, overlay: dict[str, Any]) -> tuple[str, ArmSpec]:
        chosen = {"role": self.grid.role, "note": self.grid.note, "name": self._name(point)}
        for index, (expression, mark) in enumerate(self.marks):
            if self._holds(expression, point, ("marks", index, "when")):
                chosen |= mark.model_dump(include={"role", "note", "name"}, exclude_none=True)
        name = str(chosen.pop("name"))
        if not name:
            raise self._error(("name",), f"{self._in_words(point)} has no name; give the grid one, or a label")
        return name, ArmSpec.model_validate({**overlay, **chosen})

    def _name(self, point: Point) -> str:
        labels = [self.labels[name][identity(value)] for name, value in point.items()]
        return "_".join(text for text in (self.grid.name, *labels) if text)

    def _labels(self, name: str, field: GridField) -> dict[Any, str]:
        """Return the name of each value of a field within an arm's name."""
        own = name.rpartition(".")[2]
        labels = field.labels or [_label(field.label, own, value) for value in field.values]
        for value, label in zip(field.values, labels, strict=True):
            if not LABEL.fullmatch(label):
                raise self._error(("fields", name), f"the value {value!r} makes no name; give `labels`")
        return {identity(freeze(value)): label for value, label in zip(field.values, labels, strict=True)}

    def _space(self) -> SearchSpace:
        """Check fields, conditions and forbidden combinations one by one, so that each error has its line."""
        dimensions: dict[str, Dimension] = {}
        for name, field in self.grid.fields.items():
            if name.partition(".")[0] not in SECTIONS or "." not in name:
                valid = ", ".join(f"{section}.<field>" for section in SECTIONS)
                raise self._error(("fields", name), f"no field of a configuration; write {valid}")
            values = tuple(freeze(value) for value in field.values)
            with self._located("fields", name, "values"):
                dimensions[name] = Choice(values) if len(values) > 1 else Constant(values[0])
            with self._located("fields", name):
                SearchSpace({name: dimensions[name]})
        space = SearchSpace(dimensions)
        for index, item in enumerate(self.grid.when):
            with self._located("when", index):
                condition = Condition(tuple(item.fields), item.only_if)
                space = SearchSpace(dimensions, (*space.conditions, condition))
        for index, refused in enumerate(self.grid.forbid):
            with self._located("forbid", index):
                forbidden = (*space.forbidden, Forbidden(refused.when, refused.reason))
                space = SearchSpace(dimensions, space.conditions, forbidden)
        return space

    def _refuses(self, point: Point) -> bool:
        try:
            return not self.space.contains(point)
        except ValueError as error:  # values that cannot be ordered
            raise self._error(("fields",), str(error)) from error

    def _expression(self, index: int, mark: GridMark) -> Expression:
        with self._located("marks", index, "when"):
            expression = Expression(mark.when)
        unknown = [name for name in expression.names if name not in self.grid.fields]
        if unknown:
            message = f"no field '{unknown[0]}' in this grid; {nearest(unknown[0], self.grid.fields)}"
            raise self._error(("marks", index, "when"), message)
        return expression

    def _holds(self, expression: Expression, point: Point, key: KeyPath) -> bool:
        with self._located(*key):
            return expression.evaluate(point) is True

    def _in_words(self, point: Point) -> str:
        return ", ".join(f"{name.rpartition('.')[2]}={value}" for name, value in point.items())

    def _error(self, key: KeyPath, message: str) -> UserError:
        path = ("grid", *key)
        return UserError(f"{self.where(path)}: {'.'.join(map(str, path))}: {message}")

    @contextmanager
    def _located(self, *key: str | int) -> Iterator[None]:
        """Add the place in the study to an error raised in the block."""
        try:
            yield
        except ValueError as error:
            raise self._error(key, str(error)) from error


def _label(label: str | None, own: str, value: Any) -> str:
    """Return `K0p5` for a number, the word for a word, the field's name with or without `no_` for a switch."""
    if isinstance(value, bool):
        return f"{'' if value else 'no_'}{label or own}"
    if isinstance(value, str):
        return f"{label or ''}{value}"
    items = value if isinstance(value, list) else [value]
    return f"{own if label is None else label}{'_'.join(map(_number, items))}"


def _number(value: Any) -> str:
    """Format a number without the characters that have a meaning in `--set arms.<name>.<field>`."""
    return str(value).removesuffix(".0").replace(".", "p").replace("-", "m").replace("+", "")
