"""The values of one field: Real, LogReal, Integer, Choice or Constant, each with unit, meaning and source."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

Scalar = str | int | float | bool | None
Value = Scalar | tuple[Scalar, ...]


def freeze(value: Any) -> Any:
    """Return `value` with lists as tuples, so that values read from YAML can be compared and hashed."""
    return tuple(freeze(item) for item in value) if isinstance(value, list | tuple) else value


def identity(value: Any) -> tuple[str, Any]:
    """Return a key that is equal for equal settings: True is not 1, but 1 is 1.0."""
    if isinstance(value, tuple):
        return "tuple", tuple(identity(item) for item in value)
    kind = "number" if _is_number(value) else type(value).__name__
    return kind, value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _interpolate(low: float, high: float, fraction: float) -> float:
    """Return the point at `fraction` of [low, high]; rounding never leaves the interval."""
    return min(max(low * (1 - fraction) + high * fraction, low), high)


@dataclass(frozen=True, kw_only=True)
class Dimension(ABC):
    """The values one field may have."""

    unit: str = ""
    """Unit of the value; empty for a pure number or a name."""
    meaning: str = ""
    """What the field does, in a sentence."""
    source: str = ""
    """Where the range comes from."""

    @abstractmethod
    def grid(self, n: int) -> tuple[Any, ...]:
        """Return distinct values that cover the dimension, ends included.

        Args:
            n: Number of values on a range (fewer where it has fewer); at least 2. Choices and
                constants have no resolution and give all their values.

        Raises:
            ValueError: If `n` < 2.
        """

    @abstractmethod
    def sample(self, rng: random.Random) -> Any:
        """Draw one value; equal states of `rng` give equal values."""

    @abstractmethod
    def at(self, fraction: float) -> Any:
        """Return the value at `fraction`, in [0, 1): uniform fractions give what `sample` draws.

        Choices have equal parts, in their order.
        """

    @property
    @abstractmethod
    def num_values(self) -> int | None:
        """How many values there are; None on a range of real numbers."""

    @abstractmethod
    def explain(self, x: Any) -> str | None:
        """Return why `x` is not allowed, as a sentence; None if it is allowed."""

    def contains(self, x: Any) -> bool:
        """Return whether the field may be `x`."""
        return self.explain(x) is None


def _check_resolution(n: int) -> None:
    if n < 2:
        raise ValueError(f"a grid needs n >= 2 so that both ends are in it, got {n}")


@dataclass(frozen=True)
class _Range(Dimension):
    low: float
    """Smallest value, included."""
    high: float
    """Largest value, included."""

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if not _is_number(bound) or not math.isfinite(bound):
                raise ValueError(f"{name} must be a finite number, got {bound!r}")
        if self.low >= self.high:
            raise ValueError(
                f"low must be below high, got low={self.low!r} and high={self.high!r}; "
                "leave a field with a single value out of the space"
            )

    @property
    def num_values(self) -> None:
        """None: a range of real numbers has no count."""
        return None

    def explain(self, x: Any) -> str | None:
        """Return why `x` is not allowed; None if it is."""
        if not _is_number(x) or not math.isfinite(x):
            return f"must be a finite number, got {x!r}"
        if x < self.low:
            return f"must be at least {self.low!r}, got {x!r}"
        if x > self.high:
            return f"must be at most {self.high!r}, got {x!r}"
        return None


@dataclass(frozen=True)
class Real(_Range):
    """A real number in [low, high], drawn uniformly.

    Raises:
        ValueError: If a bound is not finite, or low >= high.
    """

    def grid(self, n: int) -> tuple[float, ...]:
        """Return evenly spaced values, ends included."""
        _check_resolution(n)
        points = [_interpolate(self.low, self.high, i / (n - 1)) for i in range(n)]
        return tuple(dict.fromkeys([float(self.low), *points[1:-1], float(self.high)]))

    def at(self, fraction: float) -> float:
        """Return the value at `fraction` of the range."""
        return _interpolate(self.low, self.high, fraction)

    def sample(self, rng: random.Random) -> float:
        """Draw a value uniformly."""
        return self.at(rng.random())


@dataclass(frozen=True)
class LogReal(_Range):
    """A positive number in [low, high], drawn uniformly in its logarithm.

    Raises:
        ValueError: If low <= 0, a bound is not finite, or low >= high.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise ValueError(f"low must be above 0 on a logarithmic range, got {self.low!r}")

    def at(self, fraction: float) -> float:
        """Return the value at `fraction` of the range of the logarithm."""
        value = math.exp(_interpolate(math.log(self.low), math.log(self.high), fraction))
        return min(max(value, self.low), self.high)

    def grid(self, n: int) -> tuple[float, ...]:
        """Return values evenly spaced in their logarithm, ends included."""
        _check_resolution(n)
        points = [self.at(i / (n - 1)) for i in range(n)]
        return tuple(dict.fromkeys([float(self.low), *points[1:-1], float(self.high)]))

    def sample(self, rng: random.Random) -> float:
        """Draw a value uniformly in its logarithm."""
        return self.at(rng.random())


@dataclass(frozen=True)
class Integer(Dimension):
    """A whole number in [low, high], drawn uniformly.

    Raises:
        ValueError: If a bound is not whole, or low >= high.
    """

    low: int
    """Smallest value, included."""
    high: int
    """Largest value, included."""

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if not _is_whole(bound):
                raise ValueError(f"{name} must be a whole number, got {bound!r}")
        if self.low >= self.high:
            raise ValueError(
                f"low must be below high, got low={self.low} and high={self.high}; "
                "leave a field with a single value out of the space"
            )

    def grid(self, n: int) -> tuple[int, ...]:
        """Return evenly spaced whole numbers, ends included."""
        _check_resolution(n)
        count = min(n, self.high - self.low + 1)
        steps = count - 1
        # whole-number arithmetic: a float would lose the ends of ranges beyond 2**53
        return tuple(self.low + ((self.high - self.low) * i + steps // 2) // steps for i in range(count))

    def at(self, fraction: float) -> int:
        """Return the whole number at `fraction` of the range, in which each has an equal part."""
        return min(self.low + int(fraction * self.num_values), self.high)

    @property
    def num_values(self) -> int:
        """How many whole numbers the range has."""
        return self.high - self.low + 1

    def sample(self, rng: random.Random) -> int:
        """Draw a whole number uniformly."""
        return rng.randint(self.low, self.high)

    def explain(self, x: Any) -> str | None:
        """Return why `x` is not allowed; None if it is."""
        if not _is_whole(x):
            return f"must be a whole number, got {x!r}"
        if x < self.low:
            return f"must be at least {self.low}, got {x}"
        if x > self.high:
            return f"must be at most {self.high}, got {x}"
        return None


def _check_value(value: Any) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if item is not None and not isinstance(item, str | bool | int | float):
            raise ValueError(f"a value must be a string, number, bool or null, got {item!r}")
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"a value must be finite, got {item!r}")


@dataclass(frozen=True)
class Choice(Dimension):
    """One of several values, drawn with equal probability.

    Raises:
        ValueError: If there are fewer than two options, two are equal, or one is not a plain value.
    """

    options: tuple[Value, ...]
    """The values, in the order of a grid."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", freeze(self.options))
        if not isinstance(self.options, tuple):
            raise ValueError(f"options must be a list, got {self.options!r}")
        if len(self.options) < 2:
            raise ValueError(
                f"a choice needs at least 2 options, got {self.options!r}; "
                "leave a field with a single value out of the space"
            )
        seen = set()
        for option in self.options:
            _check_value(option)
            if identity(option) in seen:
                raise ValueError(f"options must differ, but {option!r} is given twice in {self.options!r}")
            seen.add(identity(option))

    def grid(self, n: int) -> tuple[Value, ...]:
        """Return every option, whatever `n`."""
        _check_resolution(n)
        return self.options

    def at(self, fraction: float) -> Value:
        """Return the option at `fraction` of the list."""
        return self.options[min(int(fraction * self.num_values), self.num_values - 1)]

    @property
    def num_values(self) -> int:
        """How many options there are."""
        return len(self.options)

    def sample(self, rng: random.Random) -> Value:
        """Draw an option."""
        return rng.choice(self.options)

    def explain(self, x: Any) -> str | None:
        """Return why `x` is not allowed; None if it is."""
        if any(identity(freeze(x)) == identity(option) for option in self.options):
            return None
        return f"must be one of {', '.join(map(repr, self.options))}, got {x!r}"


@dataclass(frozen=True)
class Constant(Dimension):
    """A field with a single fixed value.

    Raises:
        ValueError: If the value is not a plain value.
    """

    value: Value

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", freeze(self.value))
        _check_value(self.value)

    def grid(self, n: int) -> tuple[Value, ...]:
        """Return the one value."""
        _check_resolution(n)
        return (self.value,)

    def at(self, fraction: float) -> Value:
        """Return the one value."""
        return self.value

    @property
    def num_values(self) -> int:
        """One."""
        return 1

    def sample(self, rng: random.Random) -> Value:
        """Return the one value."""
        return self.value

    def explain(self, x: Any) -> str | None:
        """Return why `x` is not allowed; None if it is."""
        return None if identity(freeze(x)) == identity(self.value) else f"must be {self.value!r}, got {x!r}"
