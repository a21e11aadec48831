"""The prefix mean through a small MLP as a mixer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.layers.cumulative import PrefixSum, cumulative_mean
from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection


class MeanPoolMixer(Mixer):
    """y_t = W_out GELU(W_in [x_t, mean of x_j over j <= t]): causal, O(T)."""

    def __init__(self, d_model: int, width: int, *, init_std: float, dropout: float, bias: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * d_model, width, bias=bias)
        self.gelu = nn.GELU()
        self.out = ResidualProjection(width, d_model, init_std=init_std, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Mix; time and memory O(T)."""
        return MixerOutput(self.stream(x_BTD)[0])

    def stream(self, x_BTD: Tensor, state: PrefixSum | None = None) -> tuple[Tensor, PrefixSum]:
        """Mix from a prefix on."""
        wide = torch.promote_types(x_BTD.dtype, torch.float32)
        mean_BDT, last = cumulative_mean(x_BTD.to(wide).transpose(1, 2), state)
        mean_BTD = mean_BDT.transpose(1, 2).to(x_BTD.dtype)
        y_BTD: Tensor = self.dropout(self.out(self.gelu(self.hidden(torch.cat((x_BTD, mean_BTD), -1)))))
        return y_BTD, last

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Mix, computing the mean of every prefix separately."""
        mean_BTD = torch.stack([x_BTD[:, : t + 1].mean(1) for t in range(x_BTD.shape[1])], 1)
        y_BTD: Tensor = self.out(self.gelu(self.hidden(torch.cat((x_BTD, mean_BTD), -1))))
        return y_BTD
