"""SearchSpace: named dimensions, the conditions between them, and the canonical form of a point."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from search_spaces.conditions import Expression
from search_spaces.dimensions import Dimension, freeze
from search_spaces.suggestions import nearest

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_MAX_DRAWS = 1000


class InvalidPointError(ValueError):
    """A point of a space is no valid configuration, although the space allows it."""


@dataclass(frozen=True)
class Condition:
    """Fields that have an effect only while an expression holds: "sign only if coupling != 0"."""

    fields: str | tuple[str, ...]
    """Names, or patterns such as `pvm.*`."""
    only_if: str
    """Expression over dimensions declared before those fields."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names or patterns as a tuple."""
        return (self.fields,) if isinstance(self.fields, str) else self.fields

    def governs(self, name: str) -> bool:
        """Return whether `name` is one of the fields."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)


@dataclass(frozen=True)
class Forbidden:
    """A combination that must not be run."""

    when: str
    """Expression that is true of the combination."""
    reason: str
    """Explanation for the user."""


@dataclass(frozen=True)
class SearchSpace:
    """An ordered mapping of dotted names to dimensions.

    Raises:
        ValueError: If a name is malformed, or a condition or forbidden combination refers to a name
            the space does not have, or a condition to a dimension declared after the field it governs.
    """

    dimensions: Mapping[str, Dimension]
    conditions: tuple[Condition, ...] = ()
    forbidden: tuple[Forbidden, ...] = ()
    _rules: Mapping[str, tuple[Expression, ...]] = field(init=False, repr=False, compare=False)
    _refusals: tuple[tuple[Expression, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimensions", dict(self.dimensions))
        for name in self.dimensions:
            if not _NAME.fullmatch(name):
                raise ValueError(f"dimension names are lower case, dotted words, got {name!r}")
        refusals = tuple((Expression(item.when), item.reason) for item in self.forbidden)
        for expression, _ in refusals:
            self._check_known(expression)
        object.__setattr__(self, "_refusals", refusals)
        object.__setattr__(self, "_rules", self._bind_conditions())

    def _bind_conditions(self) -> Mapping[str, tuple[Expression, ...]]:
        rules: dict[str, tuple[Expression, ...]] = dict.fromkeys(self.dimensions, ())
        order = {name: position for position, name in enumerate(self.dimensions)}
        for condition in self.conditions:
            expression = Expression(condition.only_if)
            self._check_known(expression)
            for pattern in condition.patterns:
                if not any(fnmatchcase(name, pattern) for name in order):
                    raise ValueError(f"a condition governs {pattern!r}, but {self._unknown(pattern)}")
            for name in filter(condition.governs, order):
                late = [other for other in expression.names if order[other] >= order[name]]
                if late:
                    # the declared order lets chains of conditions resolve in one pass, and rules out cycles
                    raise ValueError(
                        f"the condition of {name!r} ({expression.text}) needs {late[0]!r} declared before it"
                    )
                rules[name] += (expression,)
        return rules

    def _check_known(self, expression: Expression) -> None:
        for name in expression.names:
            if name not in self.dimensions:
                raise ValueError(f"condition {expression.text!r}: {self._unknown(name)}")

    def _unknown(self, name: str) -> str:
        return f"unknown name {name!r}; {nearest(name, self.dimensions)}"

    def __len__(self) -> int:
        return len(self.dimensions)

    def __iter__(self) -> Iterator[str]:
        return iter(self.dimensions)

    def __getitem__(self, name: str) -> Dimension:
        return self.dimensions[name]

    def __or__(self, other: SearchSpace) -> SearchSpace:
        """Return the union of both spaces; the dimensions of `other` come last.

        Raises:
            ValueError: If both have a dimension of the same name.
        """
        clash = [name for name in self.dimensions if name in other.dimensions]
        if clash:
            raise ValueError(f"both spaces have {', '.join(map(repr, clash))}; rename or drop one")
        return SearchSpace(
            {**self.dimensions, **other.dimensions},
            self.conditions + other.conditions,
            self.forbidden + other.forbidden,
        )

    def within(self, section: str) -> SearchSpace:
        """Return the same space with every name as a field of `section`: `coupling` as `section.coupling`."""
        return SearchSpace(
            {f"{section}.{name}": dimension for name, dimension in self.dimensions.items()},
            tuple(
                Condition(tuple(f"{section}.{p}" for p in each.patterns), Expression(each.only_if).within(section))
                for each in self.conditions
            ),
            tuple(Forbidden(Expression(each.when).within(section), each.reason) for each in self.forbidden),
        )

    def only(self, names: Collection[str]) -> SearchSpace:
        """Return the space of some of its dimensions, with the conditions and forbidden combinations about them."""
        kept = {name: dimension for name, dimension in self.dimensions.items() if name in names}
        governed = [
            Condition(own, each.only_if)
            for each in self.conditions
            if set(Expression(each.only_if).names) <= kept.keys()
            and (own := tuple(name for name in kept if each.governs(name)))
        ]
        refused = [each for each in self.forbidden if set(Expression(each.when).names) <= kept.keys()]
        return SearchSpace(kept, tuple(governed), tuple(refused))

    def _has_effect(self, name: str, values: Mapping[str, Any]) -> bool:
        return all(rule.evaluate(values) is True for rule in self._rules[name])

    def canonical(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` in the order of the space, without fields whose condition is false.

        Two points with equal canonical forms are the same experiment. A field whose condition
        refers to a dropped or absent field is dropped too, unless the condition holds all the same.

        Raises:
            ValueError: If a name is unknown.
        """
        for name in values:
            if name not in self.dimensions:
                raise ValueError(self._unknown(name))
        kept: dict[str, Any] = {}
        for name in self.dimensions:
            if name in values and self._has_effect(name, kept):
                kept[name] = freeze(values[name])
        return kept

    def explain(self, values: Mapping[str, Any]) -> list[str]:
        """Return every reason why `values` is not a point of the space; empty if it is one.

        A field without effect may be left out; if present, its value must still be allowed.
        """
        reasons = [self._unknown(name) for name in values if name not in self.dimensions]
        wrong = [
            f"{name} {why}"
            for name, dimension in self.dimensions.items()
            if name in values and (why := dimension.explain(values[name]))
        ]
        if wrong:
            return reasons + wrong  # conditions on values that are not allowed mean nothing
        point = self.canonical({name: x for name, x in values.items() if name in self.dimensions})
        reasons += [
            f"{name} is missing" for name in self.dimensions if name not in values and self._has_effect(name, point)
        ]
        return reasons + [f"{e.text} is not allowed: {why}" for e, why in self._refusals if e.evaluate(point)]

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Return whether `values` is a point of the space."""
        return not self.explain(values)

    def _allowed(self, point: Mapping[str, Any]) -> bool:
        return not any(expression.evaluate(point) for expression, _ in self._refusals)

    def grid(self, n: int = 5) -> Iterator[dict[str, Any]]:
        """Yield every canonical, allowed combination once; the last dimension varies fastest.

        Args:
            n: Values on each range; choices give all.
        """
        names = tuple(self.dimensions)
        axes = {name: dimension.grid(n) for name, dimension in self.dimensions.items()}

        def extend(point: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
            if depth == len(names):
                if self._allowed(point):
                    yield point
                return
            name = names[depth]
            if not self._has_effect(name, point):
                yield from extend(point, depth + 1)
                return
            for value in axes[name]:
                yield from extend({**point, name: value}, depth + 1)

        return extend({}, 0)

    def at(self, fractions: Sequence[float]) -> dict[str, Any] | None:
        """Return the canonical point at a fraction, in [0, 1), of each dimension; None if it is forbidden.

        Raises:
            ValueError: If there are not as many fractions as dimensions.
        """
        pairs = zip(self.dimensions.items(), fractions, strict=True)
        point = self.canonical({name: dimension.at(fraction) for (name, dimension), fraction in pairs})
        return point if self._allowed(point) else None

    @property
    def num_points(self) -> int | None:
        """How many combinations of values there are, forbidden and repeated ones included; None for real ranges."""
        counts = [dimension.num_values for dimension in self.dimensions.values()]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def sample(self, rng: random.Random) -> dict[str, Any]:
        """Draw one canonical, allowed point; equal states of `rng` give equal points.

        Raises:
            ValueError: If forbidden combinations leave almost nothing: 1,000 draws in a row were refused.
        """
        for _ in range(_MAX_DRAWS):
            point = self.canonical({name: dim.sample(rng) for name, dim in self.dimensions.items()})
            if self._allowed(point):
                return point
        reasons = "; ".join(f"{e.text} ({why})" for e, why in self._refusals)
        raise ValueError(f"{_MAX_DRAWS} draws were all forbidden; widen the space or relax: {reasons}")
