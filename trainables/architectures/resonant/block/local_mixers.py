"""The first stage of a resonant block: each position separately, or three positions together.

Shapes: B batch, T positions, D channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.layers.mixer import ResidualProjection
from trainables.randomness import Constant, Initializer, Normal

KERNEL_SIZE = 3


class GatedLinear(nn.Module):
    """a·σ(b) with a and b linear in the input, each position separately."""

    causal = True
    num_recent = 0

    def __init__(self, d_model: int, *, init_std: float, bias: bool) -> None:
        super().__init__()
        self.linear = ResidualProjection(d_model, 2 * d_model, init_std=init_std, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform."""
        return functional.glu(self.linear(x_BTD), dim=-1)

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Transform from the definition."""
        value_BTD, gate_BTD = self.linear(x_BTD).chunk(2, dim=-1)
        y_BTD: Tensor = value_BTD * gate_BTD.sigmoid()
        return y_BTD


class PositionwiseMLP(nn.Module):
    """Two linear layers with a GELU between them: the control with as many parameters as `GatedLinear`."""

    causal = True
    num_recent = 0

    def __init__(self, d_model: int, *, init_std: float, bias: bool) -> None:
        super().__init__()
        self.up = nn.Linear(d_model, d_model, bias=bias)
        self.down = ResidualProjection(d_model, d_model, init_std=init_std, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform."""
        y_BTD: Tensor = self.down(functional.gelu(self.up(x_BTD)))
        return y_BTD

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Transform from the definition of the GELU, x·Φ(x)."""
        hidden_BTD = self.up(x_BTD)
        share_BTD = (1 + torch.erf(hidden_BTD / math.sqrt(2))) / 2
        y_BTD: Tensor = self.down(hidden_BTD * share_BTD)
        return y_BTD


class DepthwiseConv(nn.Conv1d):
    """A convolution over three positions, each channel separately.

    Causal: over a position and the two before. As published symmetric: over a position and its two neighbours, one
    of which is the token to be predicted.
    """

    def __init__(self, d_model: int, *, causal: bool, init_std: float, bias: bool) -> None:
        super().__init__(d_model, d_model, KERNEL_SIZE, groups=d_model, bias=bias)
        self.causal, self.num_recent = causal, KERNEL_SIZE - 1 if causal else KERNEL_SIZE // 2
        self.initializers: dict[str, Initializer] = {"weight": Normal(init_std), "bias": Constant(0.0)}

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform."""
        padding = (self.num_recent, KERNEL_SIZE - 1 - self.num_recent)
        return super().forward(functional.pad(x_BTD.transpose(1, 2), padding)).transpose(1, 2)

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Transform from the definition, tap by tap."""
        padding = (0, 0, self.num_recent, KERNEL_SIZE - 1 - self.num_recent)
        padded_BTD, seq_len = functional.pad(x_BTD, padding), x_BTD.shape[1]
        taps = (self.weight[:, 0, tap] * padded_BTD[:, tap : tap + seq_len] for tap in range(KERNEL_SIZE))
        y_BTD = torch.stack(list(taps)).sum(0)
        return y_BTD if self.bias is None else y_BTD + self.bias
