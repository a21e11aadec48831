"""Numbers as they are printed: a value, and the half unit of its last digit."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

NUMBER = r"[+−-]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:e[+−-]?\d+)?"
"""Pattern of a number in prose, without a percent sign."""

_PRINTED = re.compile(rf"({NUMBER})\s*(%?)")
_SPAN = re.compile(rf"[~≈]?\s*({NUMBER})(?:\s*(?:-|–|to)\s*({NUMBER}))?\s*(%?)")


@dataclass(frozen=True)
class Printed:
    """A printed number. It stands for everything that rounds to it."""

    text: str
    value: float
    """Of a percentage, the fraction."""
    half_unit: float
    """Half of what a step of the last digit is worth."""
    line: int | None = None
    """Where it stands; None if that is not known."""

    @classmethod
    def parse(cls, text: str, line: int | None = None) -> Printed:
        """Read a number, such as `.186`, `2,488`, `1e-4` or `35.4 %`.

        Raises:
            ValueError: If it is none.
        """
        found = _PRINTED.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"'{text}' is no printed number, such as .186, 2,488 or 35.4 %")
        digits, percent = found.group(1).replace(",", "").replace("−", "-"), found.group(2)
        mantissa, _, exponent = digits.partition("e")
        decimals = len(mantissa.partition(".")[2])
        unit = (0.01 if percent else 1.0) * 10.0 ** (int(exponent or 0) - decimals)
        return cls(text.strip(), float(digits) * (0.01 if percent else 1.0), unit / 2, line)

    @property
    def low(self) -> float:
        """The smallest value that rounds to it."""
        return self.value - self.half_unit

    @property
    def high(self) -> float:
        """The largest value that rounds to it."""
        return self.value + self.half_unit

    def holds(self, low: float, high: float | None = None) -> bool:
        """Return whether a value, or one between two, rounds to it."""
        slack = 1e-12 * max(1.0, abs(self.value))
        return self.low - slack <= (low if high is None else high) and low <= self.high + slack


@dataclass(frozen=True)
class Span:
    """A printed range such as `8-12`; of a single number both ends are that number."""

    text: str
    first: Printed
    last: Printed

    @classmethod
    def parse(cls, text: str, line: int | None = None) -> Span:
        """Read a number or a range.

        Raises:
            ValueError: If it is neither.
        """
        found = _SPAN.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"'{text}' is no number or range, such as 8-12 or 35.4 %")
        first = Printed.parse(found.group(1) + found.group(3), line)
        last = first if found.group(2) is None else Printed.parse(found.group(2) + found.group(3), line)
        return cls(text.strip(), first, last)

    @property
    def line(self) -> int | None:
        """Where it stands."""
        return self.first.line


def magnitude(number: Printed) -> Printed:
    """Return a number without its sign."""
    return replace(number, value=abs(number.value))
