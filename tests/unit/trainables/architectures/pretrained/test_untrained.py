"""Models with random weights: their sizes, and that every weight is drawn from a stream of ours."""

from __future__ import annotations

import math

import pytest
import torch

from tests.support.models.pretrained import VOCAB
from trainables.architectures.base.parameters import count_parameters
from trainables.architectures.pretrained.config import MODEL_TYPES, PretrainedConfig
from trainables.randomness import INIT_STD, initialise


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_has_the_sizes_that_are_given(kind: str) -> None:
    config = PretrainedConfig(
        model=f"untrained:{kind}", d_model=24, num_layers=3, num_heads=2, ffn_multiplier=2.0, trained="everything"
    )
    model = config.build(vocab_size=VOCAB, max_seq_len=64)
    own = model.model.config
    assert (own.model_type, own.hidden_size, own.num_hidden_layers) == (kind, 24, 3)
    assert (own.num_attention_heads, own.num_key_value_heads, own.intermediate_size) == (2, 2, 48)
    assert (own.max_position_embeddings, own.vocab_size) == (64, VOCAB)
    per_layer = 4 * 24 * 24 + 3 * 24 * 48 + 2 * 24 + (3 * 24 if kind == "qwen2" else 0)
    assert count_parameters(config, vocab_size=VOCAB, max_seq_len=64) == 3 * per_layer + 24 + VOCAB * 24


@pytest.mark.parametrize("kind", MODEL_TYPES)
@pytest.mark.parametrize("bias", [False, True])
def test_a_budget_of_parameters_is_met_by_the_feed_forward_width(kind: str, bias: bool) -> None:
    fields = {"d_model": 24, "num_layers": 3, "num_heads": 2, "bias": bias}
    config = PretrainedConfig(model=f"untrained:{kind}", **fields, parameter_budget=30_000)  # type: ignore[arg-type]
    found = count_parameters(config, vocab_size=VOCAB, max_seq_len=64)
    assert abs(found - 30_000) <= 3 * (3 * 24 + 2) / 2
    with pytest.raises(ValueError, match=r"parameter_budget=30 is too small: this model needs [\d,]+ at least"):
        config.model_copy(update={"parameter_budget": 30}).build(vocab_size=VOCAB, max_seq_len=64)


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_every_weight_is_drawn_from_a_stream(kind: str) -> None:
    config = PretrainedConfig(model=f"untrained:{kind}", d_model=24, num_layers=1, num_heads=2)
    one, same, other = (config.build(vocab_size=VOCAB, max_seq_len=64) for _ in range(3))
    for model, seed in ((one, 0), (same, 0), (other, 1)):
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, math.nan)
        initialise(model, seed)
    for name, value in one.named_parameters():
        assert torch.equal(value, same.get_parameter(name))
        if name.endswith("norm.weight"):
            assert (value == 1).all()
        elif name.endswith("bias"):
            assert (value == 0).all()
        else:
            assert 0.8 * INIT_STD < float(value.detach().std()) < 1.2 * INIT_STD
            assert not torch.equal(value, other.get_parameter(name))


def test_biases_and_dropout_are_those_of_the_configuration() -> None:
    config = PretrainedConfig(d_model=24, num_layers=1, num_heads=2, bias=True, dropout=0.5)
    model = config.build(vocab_size=VOCAB, max_seq_len=64)
    initialise(model, 0)
    assert model.model.model.layers[0].mlp.up_proj.bias is not None
    tokens_BT = torch.arange(20).unsqueeze(0)
    model.train()
    assert not torch.equal(model(tokens_BT).logits_BTV, model(tokens_BT).logits_BTV)
