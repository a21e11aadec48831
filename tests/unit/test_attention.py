from __future__ import annotations

import pytest
import torch

from tests.unit.layer_equality import LENGTHS, assert_equals_reference
from trainables.layers.attention import CausalSelfAttention, reference_attention
from trainables.layers.mean_pool import MeanPoolMixer, reference_mean_pool
from trainables.training.randomness import initialise


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("seq_len", LENGTHS)
def test_attention_equals_reference(seq_len: int, bias: bool) -> None:
    layer = CausalSelfAttention(8, 2, init_std=0.02, dropout=0.0, bias=bias)
    initialise(layer, 0)
    assert_equals_reference(layer.double(), reference_attention, d_model=8, seq_len=seq_len)


@pytest.mark.parametrize("seq_len", LENGTHS)
def test_mean_pool_equals_reference(seq_len: int) -> None:
    layer = MeanPoolMixer(8, 6, init_std=0.02, dropout=0.0, bias=True)
    initialise(layer, 0)
    assert_equals_reference(layer.double(), reference_mean_pool, d_model=8, seq_len=seq_len)


def test_first_position_attends_to_itself_alone() -> None:
    layer = CausalSelfAttention(8, 2, init_std=0.02, dropout=0.0, bias=False)
    x_BTD = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    value_D = layer.qkv(x_BTD[0, 0])[16:]
    torch.testing.assert_close(layer(x_BTD).y_BTD[0, 0], layer.out(value_D))


def test_dropout_acts_in_training_only() -> None:
    layer = CausalSelfAttention(8, 2, init_std=0.02, dropout=0.5, bias=False)
    x_BTD = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(layer(x_BTD).y_BTD, layer(x_BTD).y_BTD)
    layer.eval()
    assert torch.equal(layer(x_BTD).y_BTD, layer(x_BTD).y_BTD)
