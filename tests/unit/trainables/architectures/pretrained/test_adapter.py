"""Vectors added in the last layers or at attention: against a Llama written out from its definition."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces.irrational import fractional_turns
from tests.support.models.naive_llama import naive_logits, none, rotary
from tests.support.models.pretrained import built, logits, relative, tokens
from trainables.architectures.pretrained.config import PretrainedConfig


def vectors(constant: str, length: int = 40, *, rates: bool = False) -> Tensor:
    """Return e_TD: cosines in even channels, sines in odd ones."""
    rows = []
    for place in range(length):
        turns = [fractional_turns(constant, place * (pair + 1 if rates else 1)) for pair in range(12)]
        rows.append([f(2 * math.pi * turn) for turn in turns for f in (math.cos, math.sin)])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("fields", [{"constant": "e"}, {"constant": "22/7", "rates": "multiples"}])
@pytest.mark.parametrize("last_layers", [1, 2])
def test_the_vector_enters_the_last_layers(last_layers: int, fields: dict[str, Any]) -> None:
    model = built(adapter={"last_layers": last_layers, **fields})
    e_TD = vectors(fields["constant"], rates="rates" in fields)
    entering = dict.fromkeys(range(2 - last_layers, 2), e_TD)
    expected_TV = naive_logits(model.model, tokens(1)[0], rotary(10_000.0, 8), entering=entering)
    assert relative(logits(model, tokens(1))[0].double(), expected_TV) < 1e-5
    assert relative(logits(built(), tokens(1))[0].double(), expected_TV) > 0.05


def test_a_spiral_that_is_added_stands_at_attention_in_place_of_rotations() -> None:
    model = built(encoding={"scheme": "spiral", "applied": "added"})
    expected_TV = naive_logits(model.model, tokens(1)[0], none, at_attention=vectors("pi"))
    assert relative(logits(model, tokens(1))[0].double(), expected_TV) < 1e-5


def test_checkpointed_blocks_have_the_gradients_of_others() -> None:
    found = []
    for checkpoint_blocks in (False, True):
        model = built(adapter={"last_layers": 1}, trained="everything", checkpoint_blocks=checkpoint_blocks).train()
        model(tokens()).logits_BTV.square().mean().backward()
        found.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"adapter\.last_layers=3: model 'untrained:llama' has 2 layers"):
        PretrainedConfig(num_layers=2, adapter={"last_layers": 3}).build(vocab_size=9, max_seq_len=8)  # type: ignore[arg-type]


def test_a_module_that_is_not_told_of_positions_is_refused() -> None:
    model = built(adapter={"last_layers": 1})
    with pytest.raises(ValueError, match="this model's LlamaDecoderLayer is not told of positions"):
        model.model.model.layers[1](torch.zeros(1, 3, 24), position_embeddings=None)
