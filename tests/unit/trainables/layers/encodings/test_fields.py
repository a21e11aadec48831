"""The fields of an encoding: what has no effect is not part of it, and mistakes are refused."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from search_spaces.irrational import CONSTANTS
from search_spaces.pi_spiral import SCHEMES
from trainables.layers.encodings.fields import (
    ATTRACTOR,
    ENCODING,
    AttractorConfig,
    ConstantName,
    EncodingConfig,
    Scheme,
)


def test_choices_are_those_of_the_space() -> None:
    assert get_args(Scheme) == SCHEMES
    assert get_args(ConstantName) == ENCODING["constant"].grid(2)
    assert set(CONSTANTS) == set(get_args(ConstantName)) - {"prng_table", "prng_hash", "multi"}
    assert set(ENCODING) == set(EncodingConfig.model_fields)
    assert set(ATTRACTOR) == set(AttractorConfig.model_fields)
    assert (*ATTRACTOR["constant"].grid(2), "multi") == ENCODING["constant"].grid(2)


@pytest.mark.parametrize(
    ("fields", "others"),
    [
        ({"scheme": "none"}, {"constant": "e", "base": 500.0, "transition": 9.0, "phase_precision": "float32"}),
        ({"scheme": "rope"}, {"constant": "e", "trained_length": 64, "applied": "added", "width": 2.0}),
        ({"scheme": "spiral"}, {"base": 7.0, "scaled_in_training": False, "trained_length": 64}),
        ({"scheme": "spiral", "constant": "multi"}, {"rates": "multiples"}),
        ({"scheme": "spiral", "constant": "prng_hash"}, {"phase_precision": "float32"}),
        ({"scheme": "alibi"}, {"phase_precision": "float32"}),
    ],
)
def test_fields_without_effect_do_not_count(fields: dict[str, Any], others: dict[str, Any]) -> None:
    assert EncodingConfig(**fields, **others).canonical() == EncodingConfig(**fields).canonical()


@pytest.mark.parametrize(
    ("fields", "others"),
    [
        ({"scheme": "rope"}, {"base": 500.0}),
        ({"scheme": "yarn"}, {"trained_length": 64}),
        ({"scheme": "spiral"}, {"rates": "multiples"}),
        ({"scheme": "hybrid"}, {"constant": "e"}),
        ({"scheme": "hybrid", "constant": "prng_hash"}, {"phase_precision": "float32"}),
    ],
)
def test_fields_with_effect_count(fields: dict[str, Any], others: dict[str, Any]) -> None:
    assert EncodingConfig(**fields, **others).canonical() != EncodingConfig(**fields).canonical()


def test_a_scale_for_a_scheme_without_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="scale=4 extends scheme=ntk, linear or yarn only, not rope"):
        EncodingConfig(scale=4.0)


def test_an_attractor_turns_as_a_whole() -> None:
    with pytest.raises(ValidationError, match="constant=multi has a phase for each pair of channels"):
        AttractorConfig(constant="multi")


@pytest.mark.parametrize(
    ("fields", "others"),
    [
        ({"policy": "fixed"}, {"c": 1.0, "length": 64}),
        ({"policy": "exp_c_over_n"}, {"decay": 0.5}),
        ({"constant": "prng_hash"}, {"phase_precision": "float32"}),
    ],
)
def test_fields_of_other_policies_do_not_count(fields: dict[str, Any], others: dict[str, Any]) -> None:
    assert AttractorConfig(**fields, **others).canonical() == AttractorConfig(**fields).canonical()
    assert AttractorConfig(**fields, carried=True).canonical() != AttractorConfig(**fields).canonical()
