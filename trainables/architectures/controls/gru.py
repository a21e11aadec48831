"""A gated recurrent unit as a mixer, with an explicit reference."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection
from trainables.randomness import Constant, Normal


class GRUMixer(Mixer):
    """y_t = W_out h_t of a GRU; causal, O(T), sequential in time.

    Args:
        d_model: Width D.
        width: Size H of the hidden state.
        init_std: Initial standard deviation of the weights of the output projection.
        dropout: After the output projection.
        bias: Biases in all linear maps.

    Source:
        Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder", with the reset gate after
        the recurrent map, as in PyTorch. Weights start with the variance of PyTorch's, 1 / (3 H).
    """

    def __init__(self, d_model: int, width: int, *, init_std: float, dropout: float, bias: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(d_model, width, bias=bias, batch_first=True)
        declared: Any = self.gru
        std = 1 / math.sqrt(3 * width)
        declared.initializers = {
            name: Normal(std) if name.startswith("weight") else Constant(0.0)
            for name, _ in self.gru.named_parameters()
        }
        self.out = ResidualProjection(width, d_model, init_std=init_std, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Mix."""
        return MixerOutput(self.stream(x_BTD)[0])

    def stream(self, x_BTD: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mix from a hidden state on."""
        hidden_BTH, last = self.gru(x_BTD, state)
        y_BTD: Tensor = self.dropout(self.out(hidden_BTH))
        return y_BTD, last

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Mix step by step, gate by gate."""
        gru: Any = self.gru
        h_BH = x_BTD.new_zeros(x_BTD.shape[0], gru.hidden_size)
        input_BTG = x_BTD @ gru.weight_ih_l0.mT + (gru.bias_ih_l0 if gru.bias else 0.0)
        states = []
        for input_BG in input_BTG.unbind(1):
            hidden_BG = h_BH @ gru.weight_hh_l0.mT + (gru.bias_hh_l0 if gru.bias else 0.0)
            (reset_i, update_i, new_i), (reset_h, update_h, new_h) = input_BG.chunk(3, -1), hidden_BG.chunk(3, -1)
            update_BH = torch.sigmoid(update_i + update_h)
            new_BH = torch.tanh(new_i + torch.sigmoid(reset_i + reset_h) * new_h)
            h_BH = update_BH * h_BH + (1 - update_BH) * new_BH
            states.append(h_BH)
        y_BTD: Tensor = self.out(torch.stack(states, 1))
        return y_BTD
