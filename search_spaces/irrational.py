"""The numbers by which spiral encodings turn a position, exactly: irrational ones and the controls beside them.

A position n has the phase frac(n·c) in turns. Values are fractions: 100 digits of the irrational ones, so that the
phase of a position below 10^80 is right to the last digit of a double.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from types import MappingProxyType

from search_spaces.suggestions import nearest

_ROOT_BITS = 330
"""Binary digits of a root after the point: about 100 decimal ones."""


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A number of turns a position."""

    symbol: str
    value: Fraction
    """Its value, to 100 digits if it is irrational."""
    is_irrational: bool
    meaning: str


def _irrational(symbol: str, digits: str, meaning: str) -> Constant:
    return Constant(symbol=symbol, value=Fraction(digits), is_irrational=True, meaning=meaning)


def _rational(value: Fraction, meaning: str) -> Constant:
    return Constant(symbol=str(value), value=value, is_irrational=False, meaning=meaning)


CONSTANTS: Mapping[str, Constant] = MappingProxyType(
    {
        "pi": _irrational(
            "π",
            "3.141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825342117067",
            "the published one; 7 and 113 positions on the phase is nearly the same",
        ),
        "e": _irrational(
            "e",
            "2.718281828459045235360287471352662497757247093699959574966967627724076630353547594571382178525166427",
            "published as an alternative",
        ),
        "sqrt2": _irrational(
            "√2",
            "1.414213562373095048801688724209698078569671875376948073176679737990732478462107038850387534327641572",
            "published as an alternative; phases of long runs are almost as even as can be",
        ),
        "golden": _irrational(
            "(1 + √5) / 2",
            "1.618033988749894848204586834365638117720309179805762862135448622705260462818902449707207204189391137",
            "published as an alternative; the worst to approximate by fractions, so no position nearly returns",
        ),
        "1": _rational(Fraction(1), "control: a whole turn, so all positions have the phase 0"),
        "22/7": _rational(Fraction(22, 7), "control: rational, 7 positions on the phase is exactly the same"),
        "355/113": _rational(
            Fraction(355, 113), "control: rational, 113 positions on the phase is exactly the same"
        ),
        "rope_frequency": _irrational(
            "1 / 2π",
            "0.1591549430918953357688837633725143620344596457404564487476673440588967976342265350901138027662530859",
            "control: one radian a position, the fastest rotation of RoPE by itself",
        ),
    }
)
"""By the name that a configuration uses."""


def fractional_turns(name: str, position: int) -> float:
    """Return frac(position · c), in [0, 1) turns, rounded once.

    Raises:
        ValueError: If there is no such constant; the message gives the nearest.
    """
    if name not in CONSTANTS:
        raise ValueError(f"unknown constant '{name}'; {nearest(name, CONSTANTS)}")
    turns = float(CONSTANTS[name].value * position % 1)
    return 0.0 if turns == 1.0 else turns


def prime_roots(count: int) -> tuple[Fraction, ...]:
    """Return the square roots of the first `count` primes, to 100 digits.

    No integer combination of them is an integer (but 0), so together they never nearly repeat soon: the encoding of
    many constants that a single one is compared with.
    """
    primes: list[int] = []
    candidate = 2
    while len(primes) < count:
        if all(candidate % prime for prime in primes):
            primes.append(candidate)
        candidate += 1
    return tuple(Fraction(isqrt(prime << (2 * _ROOT_BITS)), 1 << _ROOT_BITS) for prime in primes)
