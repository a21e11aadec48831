"""Attention with encodings: far beyond the training length, token by token, and what it measures of itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.architectures.pi_spiral import PiSpiralConfig, mixer
from trainables.architectures.pi_spiral.mixer import EncodedAttention
from trainables.randomness import initialise

SMALL: dict[str, Any] = {"d_model": 16, "num_layers": 2, "num_heads": 2, "ffn_multiplier": 1.0}
LENGTH = 16
LONGEST = 16 * LENGTH

ENCODINGS: list[dict[str, Any]] = [
    {"scheme": "rope"},
    {"scheme": "ntk", "scale": 16.0, "scaled_in_training": False},
    {"scheme": "linear", "scale": 16.0},
    {"scheme": "yarn", "scale": 16.0, "trained_length": LENGTH},
    {"scheme": "alibi"},
    *({"scheme": "spiral", "constant": name} for name in ("pi", "22/7", "prng_table", "prng_hash", "multi")),
    {"scheme": "spiral", "applied": "added"},
    {"scheme": "hybrid", "transition": 32.0, "width": 4.0},
    {"scheme": "hybrid", "transition": 32.0, "width": 4.0, "applied": "added"},
    {"scheme": "adaptive_hybrid", "transition": 32.0, "width": 4.0},
    {"scheme": "sinusoidal"},
    {"scheme": "none"},
]


def model(max_seq_len: int = LENGTH, **fields: Any) -> torch.nn.Module:
    config = PiSpiralConfig.model_validate({**SMALL, **fields})
    built = config.build(vocab_size=13, max_seq_len=max_seq_len)
    initialise(built, 0)
    return built.double().eval()


def tokens(length: int) -> Tensor:
    return torch.randint(13, (2, length), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@torch.no_grad()
def test_sixteen_times_the_training_length_works_in_one_pass_and_token_by_token(encoding: dict[str, Any]) -> None:
    one = model(encoding=encoding, attractor={"last_layers": 1})
    whole = one(tokens(LONGEST)).logits_BTV
    assert whole.isfinite().all()
    parts, state = [], None
    for part in tokens(LONGEST).split([LENGTH, 1, 1, LONGEST - LENGTH - 3, 1], dim=1):
        logits, state = one.stream(part, state)  # type: ignore[operator]
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_a_learned_table_ends_where_the_model_does() -> None:
    one = model(encoding={"scheme": "learned"})
    with pytest.raises(ValueError, match="17 tokens is longer than max_seq_len=16"):
        one(tokens(LENGTH + 1))


@torch.no_grad()
def test_a_bias_is_held_for_a_block_of_queries_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one = model(encoding={"scheme": "alibi"})
    whole = one(tokens(50)).logits_BTV
    monkeypatch.setattr(mixer, "QUERY_BLOCK", 7)
    torch.testing.assert_close(one(tokens(50)).logits_BTV, whole)


def attention(**fields: Any) -> EncodedAttention:
    config = PiSpiralConfig.model_validate({**SMALL, "num_layers": 1, **fields})
    built = config.build_mixer(0)
    assert isinstance(built, EncodedAttention)
    initialise(built, 0)
    return built.double().eval()


@pytest.mark.parametrize("scheme", ["rope", "alibi"])
@torch.no_grad()
def test_without_a_mask_attention_sees_later_positions(scheme: str) -> None:
    one, x_BTD = attention(encoding={"scheme": scheme}, causal=False), draw()
    torch.testing.assert_close(one(x_BTD).y_BTD, one.reference(x_BTD))
    assert not torch.allclose(one(x_BTD).y_BTD[:, :6], one(x_BTD[:, :6]).y_BTD)
    assert one.stream(x_BTD) is None


def draw(length: int = 12) -> Tensor:
    return torch.randn(2, length, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize(
    ("encoding", "is_relative"),
    [
        ({"scheme": "rope"}, True),
        ({"scheme": "alibi"}, True),
        ({"constant": "golden"}, True),
        ({"constant": "prng_hash"}, False),
        ({"applied": "added"}, False),
        ({"scheme": "hybrid", "transition": 9.0, "width": 2.0}, False),
        ({"scheme": "none"}, True),
    ],
)
@torch.no_grad()
def test_which_attention_depends_on_distances_alone(encoding: dict[str, Any], is_relative: bool) -> None:
    one, x_BTD = attention(encoding=encoding), draw()
    here, _ = one.attended(x_BTD, torch.arange(12))
    there, _ = one.attended(x_BTD, torch.arange(12) + 100)
    assert torch.allclose(here, there, atol=1e-9) == is_relative


@torch.no_grad()
def test_a_rational_spiral_confuses_positions_that_are_a_period_apart() -> None:
    """Attention by 22/7 cannot tell a token from the same token 7 positions before it; π hardly can."""
    x_BTD = draw(1).expand(-1, 12, -1)  # equal tokens
    for constant, largest in (("22/7", 1e-12), ("pi", 1e-2), ("golden", 1.0)):
        weight_BHTT, _ = attention(encoding={"constant": constant}).attended(x_BTD, torch.arange(12))
        ratio = weight_BHTT[..., -1, 4] / weight_BHTT[..., -1, 11]
        difference = float((ratio - 1).abs().max())
        assert difference <= largest, constant
        if constant == "golden":
            assert difference > 1e-3


@torch.no_grad()
def test_restarting_positions_give_other_logits() -> None:
    restarting, steady = (attention(positions_restart=value) for value in (True, False))
    x_BTD = draw()
    outputs = []
    for one in (restarting, steady):
        first = one.stream(x_BTD[:, :8])
        assert first is not None
        second = one.stream(x_BTD[:, 8:], first[1])
        assert second is not None
        outputs.append(second[0])
    assert not torch.allclose(outputs[0], outputs[1], atol=1e-6)
    torch.testing.assert_close(outputs[1], steady(x_BTD).y_BTD[:, 8:])


@torch.no_grad()
def test_probes_say_how_far_attention_looks() -> None:
    flat = attention(encoding={"scheme": "none"})
    flat.qkv.weight.zero_()
    found = flat.probes(draw(21))
    torch.testing.assert_close(found["attention_distance"], torch.full((2,), 5.0, dtype=torch.float64))
    assert float(found["attention_distance_null"]) == pytest.approx(5.0), "the mean of t / 2"
    near = attention(encoding={"scheme": "alibi"})
    near.qkv.weight.zero_()
    assert (near.probes(draw(21))["attention_distance"] < 5.0).all()


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_distances_are_those_of_the_whole_matrix(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    one, x_BTD, position_T = attention(encoding={"scheme": "rope"}, causal=causal), draw(), torch.arange(12)
    distance_TT = (position_T.unsqueeze(-1) - position_T).abs()
    weight_BHTT, _ = one.attended(x_BTD, position_T)
    monkeypatch.setattr(mixer, "QUERY_BLOCK", 5)
    found = one.probes(x_BTD)
    torch.testing.assert_close(found["attention_distance"], (weight_BHTT * distance_TT).sum(-1).mean((0, 2)))
    one.qkv.weight.zero_()
    alike_H = one.probes(x_BTD)["attention_distance"]
    torch.testing.assert_close(alike_H, found["attention_distance_null"].double().expand(2), rtol=1e-6, atol=0)


@torch.no_grad()
def test_probes_of_attractor_and_hybrid() -> None:
    one = attention(
        encoding={"scheme": "adaptive_hybrid", "transition": 40.0, "width": 3.0},
        attractor={"policy": "fixed", "injection": "projection"},
    )
    found = {name: float(value.mean()) for name, value in one.probes(draw()).items()}
    assert found["hybrid_transition"] == pytest.approx(40.0)
    assert found["hybrid_width"] == pytest.approx(3.0)
    assert found["hybrid_reach"] == pytest.approx(40.0 / 12)
    assert found["attractor_half_life"] == pytest.approx(math.log(0.5) / math.log(0.99))
    assert found["attractor_state_bytes"] == 2 * 16 * 8
    assert found["cache_bytes"] == 2 * 12 * 16 * 8
    assert 0 < found["attractor_share"] < 10


@torch.no_grad()
def test_the_state_of_an_attractor_does_not_grow() -> None:
    one = attention(attractor={})
    sizes = []
    for length in (3, 300):
        found = one.stream(draw(length))
        assert found is not None and found[1].attractor is not None
        sizes.append(found[1].attractor.num_bytes)
    assert sizes[0] == sizes[1]


def test_published_attention_adds_its_vector_to_what_values_are_made_of() -> None:
    one = attention(fidelity="as_published")
    assert one.rotation is None and one.to_input is not None
    x_BTD = draw()
    _, _, v_BHTK = one.placed(x_BTD, torch.arange(12))
    e_TD = one.to_input(torch.arange(12), torch.float64)
    torch.testing.assert_close(v_BHTK, one.heads(x_BTD + e_TD)[2])


def test_an_added_hybrid_is_the_published_formula() -> None:
    """(1 − w) RoPE(q) + w (q + e)."""
    one = attention(encoding={"scheme": "hybrid", "applied": "added", "transition": 6.0, "width": 2.0})
    rope = attention(encoding={"scheme": "rope"})
    x_BTD, position_T = draw(), torch.arange(12)
    q_BHTK, _, _ = one.heads(x_BTD)
    turned_BHTK, _, _ = rope.placed(x_BTD, position_T)
    share_T1 = torch.sigmoid((position_T.double() - 6.0) / 2.0).unsqueeze(-1)
    assert one.to_heads is not None
    e_TK = one.to_heads(position_T, torch.float64)
    expected = (1 - share_T1) * turned_BHTK + share_T1 * (q_BHTK + e_TK)
    torch.testing.assert_close(one.placed(x_BTD, position_T)[0], expected)
