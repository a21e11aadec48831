"""Closed forms, and scores without a text."""

from __future__ import annotations

import pytest

from analysis.reported.printed import Printed
from analysis.reported.rules.context import OF_NOISE, cosine_of_rotation, flat_spectrum, named_corpus


@pytest.mark.parametrize(
    ("cosine", "constant", "offset", "is_right"),
    [
        ("0.023", "pi", 1000, False),
        ("−0.835", "pi", 1000, True),
        ("1.00", "pi", 113, True),  # 355/113 is so near to π
        ("1.0", "phi", 113, False),
        ("1.0", "sqrt2", 0, True),
    ],
)
def test_the_cosine_of_a_rotation_is_known(cosine: str, constant: str, offset: int, is_right: bool) -> None:
    assert (cosine_of_rotation(Printed.parse(cosine), constant, offset) is None) == is_right


def test_a_rotation_is_no_flat_spectrum() -> None:
    assert pytest.approx(0.5615, abs=5e-5) == OF_NOISE
    assert "flatness 1e-05 over 4096 positions" in str(flat_spectrum("pi", 4096))


def test_an_unknown_constant_is_named() -> None:
    with pytest.raises(ValueError, match="unknown 'tau'; known: pi, e, sqrt2, phi"):
        flat_spectrum("tau", 16)


def test_a_score_needs_the_name_of_its_text() -> None:
    assert named_corpus(Printed.parse("2.43")) == "2.43 is a score on a text that is not named"
    assert named_corpus(Printed.parse("2.43"), "enwik8") is None
