from __future__ import annotations

import torch

from trainables.layers.attention import CausalSelfAttention


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
