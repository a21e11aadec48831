"""Rotations: relative where they should be, with the published bases and scales, and Hugging Face's YaRN."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.layers.encodings.fields import EncodingConfig
from trainables.layers.encodings.rotary import (
    FrequencyRotation,
    HybridRotation,
    NoRotation,
    Rotation,
    SpiralRotation,
    build_rotation,
    frequencies,
    ntk_base,
    rotated,
    yarn_scale,
)

WIDTH = 8


def rotation(**fields: Any) -> Rotation:
    built = build_rotation(EncodingConfig(**fields), WIDTH, trained_length=64)
    assert built is not None
    return built.eval()


def turned(rotation: Rotation, x_K: Tensor, position: int) -> Tensor:
    cos, sin = rotation(torch.tensor([[position]]), torch.float64)
    return rotated(x_K.view(1, 1, 1, -1), cos, sin).flatten()


def draw(seed: int) -> tuple[Tensor, Tensor]:
    q, k = torch.randn(2, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return q, k


RELATIVE: list[dict[str, Any]] = [
    {"scheme": "rope"},
    {"scheme": "ntk", "scale": 4.0},
    {"scheme": "linear", "scale": 4.0},
    {"scheme": "yarn", "scale": 4.0},
    *({"scheme": "spiral", "constant": name} for name in ("pi", "22/7", "rope_frequency", "multi")),
    {"scheme": "spiral", "constant": "golden", "rates": "multiples"},
]


@settings(max_examples=25)
@given(st.sampled_from(RELATIVE), st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 10**5))
def test_scores_depend_on_the_distance_alone(fields: dict[str, Any], m: int, n: int, shift: int) -> None:
    one, (q, k) = rotation(**fields), draw(m)
    here = turned(one, q, m) @ turned(one, k, n)
    there = turned(one, q, m + shift) @ turned(one, k, n + shift)
    assert float(abs(here - there)) < 1e-9
    size = yarn_scale(4.0) if fields["scheme"] == "yarn" else 1.0
    assert float(turned(one, q, m).norm()) == pytest.approx(size * float(q.norm()), rel=1e-12)


def test_rope_is_relative_to_twelve_digits() -> None:
    rope, (q, k) = rotation(), draw(0)
    here, there = (turned(rope, q, m) @ turned(rope, k, n) for m, n in ((10, 3), (107, 100)))
    assert float(abs(here - there)) < 1e-12


@pytest.mark.parametrize(
    "fields", [{"constant": "prng_hash"}, {"scheme": "hybrid", "transition": 50.0, "width": 9.0}]
)
def test_random_phases_and_hybrids_are_not_relative(fields: dict[str, Any]) -> None:
    one, (q, k) = rotation(**{"scheme": "spiral", **fields}), draw(0)
    here, there = (turned(one, q, m) @ turned(one, k, n) for m, n in ((10, 3), (60, 53)))
    assert float(abs(here - there)) > 1e-3


@pytest.mark.parametrize(("scale", "base"), [(2, 20221.26), (4, 40889.94), (8, 82684.62)])
def test_ntk_raises_the_base(scale: float, base: float) -> None:
    assert ntk_base(10_000, scale, 128) == pytest.approx(base, abs=0.005)
    extended = frequencies(
        EncodingConfig(scheme="ntk", scale=scale), 128, trained_length=0, device=torch.device("cpu")
    )
    plain = frequencies(EncodingConfig(), 128, trained_length=0, device=torch.device("cpu"))
    assert float(plain[-1] / extended[-1]) == pytest.approx(scale)
    assert float(extended[0]) == 1.0


def test_yarn_sharpens_attention() -> None:
    assert yarn_scale(8) == pytest.approx(1.20794, abs=5e-6)


def test_yarn_equals_that_of_transformers() -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    encoding = EncodingConfig(scheme="yarn", scale=8.0)
    theirs = LlamaConfig(
        hidden_size=64,
        num_attention_heads=1,
        max_position_embeddings=2048,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 10_000.0,
            "factor": 8.0,
            "original_max_position_embeddings": 256,
        },
    )
    inv_freq, factor = ROPE_INIT_FUNCTIONS["yarn"](theirs, torch.device("cpu"))
    ours = frequencies(encoding, 64, trained_length=256, device=torch.device("cpu"))
    torch.testing.assert_close(ours.float(), inv_freq, rtol=1e-6, atol=0)
    assert factor == pytest.approx(yarn_scale(8.0))


def test_scale_may_act_in_evaluation_alone() -> None:
    late = build_rotation(EncodingConfig(scheme="linear", scale=4.0, scaled_in_training=False), WIDTH)
    assert late is not None
    position_T = torch.arange(40)
    torch.testing.assert_close(late.train()(position_T), rotation()(position_T))
    torch.testing.assert_close(late.eval()(position_T), rotation(scheme="linear", scale=4.0)(position_T))


def test_a_hybrid_is_rope_before_its_transition_and_the_spiral_after() -> None:
    position_T = torch.tensor([0, 40, 100, 160, 300])
    hybrid, rope, spiral = (
        torch.stack(rotation(**fields)(position_T, torch.float64))
        for fields in ({"scheme": "hybrid", "transition": 100.0, "width": 1.0}, {}, {"scheme": "spiral"})
    )
    torch.testing.assert_close(hybrid[:, :2], rope[:, :2], rtol=0, atol=1e-12)
    torch.testing.assert_close(hybrid[:, 3:], spiral[:, 3:], rtol=0, atol=1e-12)
    torch.testing.assert_close(hybrid[:, 2], (rope[:, 2] + spiral[:, 2]) / 2)


def test_an_added_hybrid_stops_rotating() -> None:
    far = rotation(scheme="hybrid", applied="added", transition=100.0, width=1.0)(torch.tensor([500]))
    torch.testing.assert_close(torch.stack(far), torch.stack(NoRotation(WIDTH // 2)(torch.tensor([500]))))


def test_published_shares_of_the_spiral() -> None:
    hybrid = rotation(scheme="hybrid")
    assert isinstance(hybrid, HybridRotation)
    share = hybrid.share(torch.tensor([12_000, 16_000]))
    assert share.tolist() == pytest.approx([0.018, 0.5], abs=5e-4)


def test_an_adaptive_hybrid_learns_where_it_changes() -> None:
    adaptive = rotation(scheme="adaptive_hybrid", transition=100.0, width=10.0)
    assert isinstance(adaptive, HybridRotation)
    fixed = rotation(scheme="hybrid", transition=100.0, width=10.0)
    position_T = torch.arange(80, 120)
    torch.testing.assert_close(adaptive(position_T), fixed(position_T))
    adaptive.share(position_T).sum().backward()
    assert adaptive.share.relative_2 is not None and adaptive.share.relative_2.grad is not None
    middle, _ = adaptive.share.place()
    gradient = torch.autograd.grad(torch.as_tensor(middle), adaptive.share.relative_2)[0]
    assert float(gradient[0]) == pytest.approx(100 * (1 - 1 / math.e)), "K is relative to where it starts"


def test_what_has_no_rotation() -> None:
    without = [{"scheme": "alibi"}, {"scheme": "learned"}, {"scheme": "sinusoidal"}]
    for fields in (*without, {"scheme": "spiral", "applied": "added"}):
        assert build_rotation(EncodingConfig(**fields), WIDTH) is None
    assert isinstance(rotation(scheme="none"), NoRotation)
    assert isinstance(rotation(), FrequencyRotation)
    assert isinstance(rotation(scheme="spiral"), SpiralRotation)


@pytest.mark.parametrize(
    ("fields", "width", "message"),
    [
        ({"scheme": "yarn", "scale": 2.0}, 8, "needs trained_length"),
        ({}, 7, "heads of 7 channels"),
        ({"scheme": "ntk", "scale": 2.0}, 2, "at least 4 channels"),
    ],
)
def test_what_cannot_be_built_says_why(fields: dict[str, Any], width: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built = build_rotation(EncodingConfig(**fields), width)
        assert built is not None
        built(torch.arange(3))


def test_results_are_single_precision_unless_asked() -> None:
    for fields in (*RELATIVE, {"scheme": "hybrid"}, {"scheme": "none"}):
        cos, sin = rotation(**fields)(torch.arange(6).view(2, 3))
        assert cos.dtype == sin.dtype == torch.float32
        assert cos.shape == sin.shape == (2, 3, WIDTH // 2)
