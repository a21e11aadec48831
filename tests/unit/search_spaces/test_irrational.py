"""Constants are right to their last digit, and phases to the last of a double."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.irrational import CONSTANTS, fractional_turns, prime_roots

DIGITS = 97


def inverse_tangent(of: int) -> Decimal:
    """Return arctan(1 / of) by its series."""
    total, term, odd = Decimal(0), Decimal(1) / of, 1
    while abs(term) > Decimal(10) ** -110:
        total, term, odd = total + term / odd, -term / (of * of), odd + 2
    return total


def by_definition() -> dict[str, Decimal]:
    pi = 16 * inverse_tangent(5) - 4 * inverse_tangent(239)
    return {
        "pi": pi,
        "e": sum((Decimal(1) / math.factorial(k) for k in range(90)), Decimal(0)),
        "sqrt2": Decimal(2).sqrt(),
        "golden": (1 + Decimal(5).sqrt()) / 2,
        "rope_frequency": 1 / (2 * pi),
    }


def test_irrational_constants_have_a_hundred_digits() -> None:
    with localcontext() as context:
        context.prec = 115
        for name, value in by_definition().items():
            assert abs(Fraction(value) - CONSTANTS[name].value) < Fraction(1, 10**DIGITS), name
    assert {name for name, constant in CONSTANTS.items() if not constant.is_irrational} == {"1", "22/7", "355/113"}


def test_a_phase_is_right_where_float64_has_none_left() -> None:
    with localcontext() as context:
        context.prec = 130
        position = 10**20 + 7
        for name, value in by_definition().items():
            assert fractional_turns(name, position) == pytest.approx(float(value * position % 1), abs=1e-15), name


@given(st.integers(0, 10**12))
def test_rational_phases_return_exactly(position: int) -> None:
    assert fractional_turns("22/7", position) == fractional_turns("22/7", position % 7)
    assert 0 <= fractional_turns("pi", position) < 1


def test_pi_nearly_returns_after_7_and_113_positions() -> None:
    for period, distance in ((7, 8.85e-3), (113, 3.01e-5)):
        turns = fractional_turns("pi", period)
        assert min(turns, 1 - turns) == pytest.approx(distance, rel=2e-3)


def test_an_unknown_constant_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown constant 'goldn'.*golden"):
        fractional_turns("goldn", 1)


def test_prime_roots_are_roots_of_primes() -> None:
    squares = [round(root**2) for root in prime_roots(6)]
    assert squares == [2, 3, 5, 7, 11, 13]
    for root, prime in zip(prime_roots(6), squares, strict=True):
        assert 0 <= prime - root**2 < Fraction(1, 10**98)
