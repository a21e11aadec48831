"""Swapped rotations: against a Llama written out from its definition, and against transformers' own schemes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from search_spaces.irrational import fractional_turns
from tests.support.models.naive_llama import Rotate, naive_logits, none, rotary, turn
from tests.support.models.pretrained import VOCAB, built, logits, relative, tokens
from trainables.architectures.pretrained.config import PretrainedConfig
from trainables.architectures.pretrained.rotary import SwappedRotary

WIDTH = 8
LENGTH = 40


def spiral(place: int, pair: int) -> tuple[float, float]:
    return turn(2 * math.pi * fractional_turns("pi", place))


def multiples(place: int, pair: int) -> tuple[float, float]:
    return turn(2 * math.pi * fractional_turns("golden", place * (pair + 1)))


def hybrid(place: int, pair: int) -> tuple[float, float]:
    share = 1 / (1 + math.exp(-(place - 20) / 3))
    near, far = rotary(10_000.0, WIDTH)(place, pair), spiral(place, pair)
    return tuple((1 - share) * a + share * b for a, b in zip(near, far, strict=True))  # type: ignore[return-value]


NAIVE: list[tuple[dict[str, Any], Rotate]] = [
    ({"scheme": "rope"}, rotary(10_000.0, WIDTH)),
    ({"scheme": "rope", "base": 500.0}, rotary(500.0, WIDTH)),
    ({"scheme": "linear", "scale": 4.0}, lambda place, pair: rotary(10_000.0, WIDTH)(place / 4, pair)),  # type: ignore[arg-type]
    ({"scheme": "none"}, none),
    ({"scheme": "spiral"}, spiral),
    ({"scheme": "spiral", "constant": "golden", "rates": "multiples"}, multiples),
    ({"scheme": "hybrid", "transition": 20.0, "width": 3.0}, hybrid),
]


@pytest.mark.parametrize(
    ("encoding", "rotate"), NAIVE, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_equals_a_model_written_out_from_its_definition(encoding: dict[str, Any], rotate: Rotate) -> None:
    model = built(encoding=encoding)
    tokens_BT = tokens(1, LENGTH)
    expected_TV = naive_logits(model.model, tokens_BT[0], rotate)
    assert relative(logits(model, tokens_BT)[0].double(), expected_TV) < 1e-5
    assert relative(logits(built(), tokens_BT)[0].double(), expected_TV) > (
        1e-2 if encoding != {"scheme": "rope"} else -1
    )


def test_without_an_encoding_positions_are_those_of_the_model() -> None:
    expected_TV = naive_logits(built().model, tokens(1)[0], rotary(10_000.0, WIDTH))
    assert relative(logits(built(), tokens(1))[0].double(), expected_TV) < 1e-5


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral"])
@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ({"scheme": "rope"}, {"rope_type": "default"}),
        ({"scheme": "linear", "scale": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        ({"scheme": "yarn", "scale": 4.0}, {"rope_type": "yarn", "factor": 4.0}),
    ],
    ids=["rope", "linear", "yarn"],
)
def test_equals_the_scheme_of_transformers(kind: str, encoding: dict[str, Any], declared: dict[str, Any]) -> None:
    model = built(model=f"untrained:{kind}", encoding=encoding, num_heads=1, max_seq_len=600)
    positions = {"original_max_position_embeddings": 600} if declared["rope_type"] == "yarn" else {}
    config = type(model.model.config)(**model.model.config.to_dict())
    config.rope_parameters = {"rope_theta": 10_000.0, **declared, **positions}
    with torch.random.fork_rng(devices=[]):
        theirs = AutoModelForCausalLM.from_config(config).eval()
    theirs.load_state_dict(model.model.state_dict())
    assert not isinstance(theirs.base_model.rotary_emb, SwappedRotary)
    tokens_BT = tokens(1, 600)
    with torch.no_grad():
        expected_BTV = theirs(tokens_BT).logits
    assert relative(logits(model, tokens_BT), expected_BTV) < 1e-4  # theirs are in float32
    if encoding["scheme"] != "rope":
        plain = built(model=f"untrained:{kind}", num_heads=1, max_seq_len=600)
        assert relative(logits(plain, tokens_BT), expected_BTV) > 0.05


def test_ntk_has_the_frequencies_of_transformers_at_a_length_that_needs_this_factor() -> None:
    rotation = built(encoding={"scheme": "ntk", "scale": 4.0}).model.base_model.rotary_emb
    config = LlamaConfig(hidden_size=24, num_attention_heads=3, max_position_embeddings=64)
    config.rope_parameters = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10_000.0}
    inverse_P, _ = ROPE_INIT_FUNCTIONS["dynamic"](config, seq_len=112)  # 4 · 112 / 64 − 3 = 4
    cos_BTK, sin_BTK = rotation(torch.zeros(1, dtype=torch.float64), torch.tensor([[1]]))
    angle_P = torch.atan2(sin_BTK, cos_BTK)[0, 0, : WIDTH // 2]
    torch.testing.assert_close(angle_P, inverse_P.double(), rtol=1e-6, atol=0)


def test_a_swapped_scheme_keeps_the_models_base(tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(**sizes, vocab_size=VOCAB, max_position_embeddings=64)
    config.rope_parameters = {"rope_type": "default", "rope_theta": 500.0}
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    plain = logits(built(model=f"hf:{tmp_path}"), tokens())
    assert relative(logits(built(model=f"hf:{tmp_path}", encoding={"scheme": "rope"}), tokens()), plain) < 1e-5
    other = built(model=f"hf:{tmp_path}", encoding={"scheme": "rope", "base": 10_000.0})
    assert relative(logits(other, tokens()), plain) > 1e-4


def test_far_positions_keep_their_phases() -> None:
    rotation = built(encoding={"scheme": "spiral"}).model.base_model.rotary_emb
    far = 10**6 + 7
    cos_BTK, sin_BTK = rotation(torch.zeros(1), torch.tensor([[far]]))
    cos, sin = spiral(far, 0)
    assert torch.allclose(cos_BTK, torch.tensor(cos)) and torch.allclose(sin_BTK, torch.tensor(sin))


def test_schemes_that_say_positions_otherwise_leave_no_rotation() -> None:
    for encoding in ({"scheme": "alibi"}, {"scheme": "spiral", "applied": "added"}, {"scheme": "none"}):
        cos_BTK, sin_BTK = built(encoding=encoding).model.base_model.rotary_emb(torch.zeros(1), torch.tensor([[5]]))
        assert (cos_BTK == 1).all() and (sin_BTK == 0).all()


def test_a_learned_transition_is_trained_and_starts_as_the_fixed_one() -> None:
    fields = {"transition": 20.0, "width": 3.0}
    config = PretrainedConfig(
        d_model=24, num_layers=2, num_heads=3, encoding={"scheme": "adaptive_hybrid", **fields}, trained="query_key"
    )
    model = config.build(vocab_size=VOCAB, max_seq_len=64)
    names = {name for name, value in model.named_parameters() if value.requires_grad}
    assert sum(name.endswith("relative_2") for name in names) == 1
    assert all(name.endswith(("relative_2", "q_proj.weight", "k_proj.weight")) for name in names)


def test_a_model_without_rotations_is_refused(tmp_path: Path) -> None:
    config = GPT2Config(
        n_embd=16, n_layer=1, n_head=2, vocab_size=VOCAB, n_positions=64, bos_token_id=1, eos_token_id=1
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"no rotary positions that encoding\.scheme=spiral could replace: GPT2LMHead"
    ):
        built(model=f"hf:{tmp_path}", encoding={"scheme": "spiral"})
    assert logits(built(model=f"hf:{tmp_path}"), tokens()).shape == (2, 40, VOCAB)


def test_rotations_that_are_extended_already_are_not_extended_again(tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(**sizes, vocab_size=VOCAB, max_position_embeddings=64)
    config.rope_parameters = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"rotations of the type 'linear', which encoding\.scheme=yarn would not"):
        built(model=f"hf:{tmp_path}", encoding={"scheme": "yarn", "scale": 2.0})
    built(model=f"hf:{tmp_path}", encoding={"scheme": "alibi"})
