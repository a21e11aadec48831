"""Encodings in closed form: the published formulas, and the layers that compute the same in float32 or float64."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.irrational import CONSTANTS
from trainables.diagnostics.closed_forms import (
    ENCODINGS,
    alibi_slopes,
    multiples,
    ntk_base,
    rotary_rates,
    vectors_of,
)
from trainables.layers.encodings.alibi import slopes
from trainables.layers.encodings.fields import EncodingConfig
from trainables.layers.encodings.rotary import build_rotation

WIDTH = 32
FAR = 10**9
AT = np.array([0, 1, 2, 7, 113, 4095, 16_000, 131_071, 131_072, 10**6, FAR])

ROTARY = {
    **{name: config for name, config in ENCODINGS.items() if name not in {"alibi", "sinusoidal"}},
    "multiples of e": EncodingConfig(scheme="spiral", constant="e", rates="multiples"),
    "multiples of a table": EncodingConfig(scheme="spiral", constant="prng_table", rates="multiples"),
    "near hybrid": EncodingConfig(scheme="hybrid", transition=100.0, width=30.0, constant="sqrt2"),
    "yarn of a long model": EncodingConfig(scheme="yarn", scale=4.0, trained_length=32_768, base=1e6),
}


@pytest.mark.parametrize("name", ROTARY)
def test_the_closed_form_is_what_the_layer_computes(name: str) -> None:
    encoding = ROTARY[name]
    rotation = build_rotation(encoding, WIDTH, trained_length=4096)
    assert rotation is not None
    cos_TP, sin_TP = rotation.eval()(torch.from_numpy(AT), torch.float64)
    scale = float(torch.hypot(cos_TP, sin_TP).max()) if encoding.scheme == "yarn" else 1.0  # sharpens attention
    vectors = vectors_of(encoding, WIDTH, trained_length=4096)
    near = AT < 2**24 if encoding.phase_precision == "float32" else AT <= FAR  # the layer's float32 is its own
    for index in range(WIDTH // 2):
        pair_T = vectors.pair(min(index, vectors.num_pairs - 1), AT)
        there_T = torch.complex(cos_TP[:, index], sin_TP[:, index]).numpy() / scale
        np.testing.assert_allclose(pair_T[near], there_T[near], atol=2e-6 if near.sum() < len(AT) else 5e-7)


def test_sinusoids_are_the_rotations_of_rope_and_alibi_has_the_layers_slopes() -> None:
    sinusoids, rope = (vectors_of(ENCODINGS[name], WIDTH) for name in ("sinusoidal", "rope"))
    np.testing.assert_array_equal(sinusoids.between(AT, AT + 5), rope.between(AT, AT + 5))
    for num_heads in (1, 2, 3, 6, 8, 12, 20):
        assert alibi_slopes(num_heads) == slopes(num_heads)


def test_alibi_slopes_as_published() -> None:
    assert alibi_slopes(8) == [2.0**-k for k in range(1, 9)]
    assert alibi_slopes(6) == [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]
    assert alibi_slopes(12)[8:] == pytest.approx([0.70711, 0.35355, 0.17678, 0.08839], abs=1e-5)


@pytest.mark.parametrize(("scale", "base"), [(2, 20221.26), (4, 40889.94), (8, 82684.62)])
def test_ntk_bases_as_published(scale: float, base: float) -> None:
    assert ntk_base(1e4, scale, 128) == pytest.approx(base, abs=0.005)


def test_ntk_slows_the_slowest_pair_by_its_scale_and_leaves_the_fastest() -> None:
    plain, stretched = (
        rotary_rates(EncodingConfig.model_validate(fields), 64, 4096)
        for fields in ({}, {"scheme": "ntk", "scale": 8.0})
    )
    assert stretched[0] == plain[0]
    assert plain[-1] / stretched[-1] == pytest.approx(8, rel=1e-12)


@given(st.sampled_from(sorted(CONSTANTS)), st.integers(0, FAR))
def test_phases_are_exact(name: str, position: int) -> None:
    constant = CONSTANTS[name].value
    turns = int(multiples(constant)(np.array([position]))[0]) / Fraction(2**64)
    off = abs(turns - constant * position % 1)
    assert min(off, 1 - off) <= Fraction(position + 1, 2**65)


@given(st.sampled_from(sorted(set(ENCODINGS) - {"alibi"})), st.integers(0, 20_000), st.integers(0, 20_000))
def test_similarity_is_a_cosine_and_depends_on_the_lag_where_it_says_so(name: str, here: int, lag: int) -> None:
    vectors = vectors_of(ENCODINGS[name], 8, name=name)
    pairs = [vectors.pair(k, np.array([here, here + lag])) for k in range(vectors.num_pairs)]
    left, right = np.array(pairs).T
    cosine = (left.conj() @ right).real / np.linalg.norm(left) / np.linalg.norm(right)
    found = float(vectors.between(np.array([here]), np.array([here + lag]))[0])
    assert found == pytest.approx(cosine, abs=1e-9)
    if vectors.by_lag is not None:
        assert found == pytest.approx(float(vectors.by_lag(np.array([lag]))[0]), abs=1e-9)


@pytest.mark.parametrize("lag", [1, 7, 113, 1000, 5000, 10_000])
@pytest.mark.parametrize("name", ["pi", "e", "sqrt2", "golden"])
def test_a_spiral_is_as_alike_as_the_cosine_of_its_lag(name: str, lag: int) -> None:
    constant = CONSTANTS[name].value
    exact = np.cos(2 * np.pi * float(constant * lag % 1))
    vectors = vectors_of(ENCODINGS[name], 64)
    for here in (0, 3, 999_999):
        found = float(vectors.between(np.array([here]), np.array([here + lag]))[0])
        assert found == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(
    ("fields", "width", "says"),
    [
        ({"scheme": "learned"}, 64, "no closed form"),
        ({"scheme": "hybrid", "applied": "added"}, 64, "no closed form"),
        ({}, 63, "even"),
        ({}, 0, "at least 2"),
        ({"scheme": "ntk", "scale": 2.0}, 2, "at least 4"),
    ],
)
def test_what_has_no_closed_form_is_refused(fields: dict[str, object], width: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        vectors_of(EncodingConfig.model_validate(fields), width)


def test_a_bias_has_no_vectors() -> None:
    with pytest.raises(ValueError, match="no vectors"):
        vectors_of(ENCODINGS["alibi"], 8).pair(0, AT)
