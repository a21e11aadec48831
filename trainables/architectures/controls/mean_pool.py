"""Controls: the simplest mixers that could explain a family's result without its mechanism."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from trainables.architectures.gpt import BackboneConfig
from trainables.architectures.layer_placement import LayerIndices, check_layers_exist, with_middle_layer
from trainables.layers.cumulative import PrefixSum, cumulative_mean
from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection
from trainables.registry import register_architecture


@register_architecture("mean_pool", version=1)
class MeanPoolConfig(BackboneConfig):
    """Attention in all layers except `pool_layers`, which see the mean of the prefix through a small MLP.

    They replace the oscillators of `kuramoto`: both compress the past into a mean, here without phases or
    dynamics.
    """

    name: Literal["mean_pool"] = "mean_pool"
    pool_layers: LayerIndices = ()
    """0-based layers with the prefix mean instead of attention. Default: the middle layer."""
    pool_width: int = Field(128, ge=1)
    """Hidden width of the mixer's MLP."""

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in the middle layer."""
        return with_middle_layer(cls, "pool_layers", super().with_defaults(fields))

    @model_validator(mode="after")
    def _pool_layers_exist(self) -> MeanPoolConfig:
        check_layers_exist(self, "pool_layers")
        return self

    def canonical(self) -> dict[str, Any]:
        """Drop the width if no layer uses it."""
        fields = super().canonical()
        if not self.pool_layers:
            del fields["pool_width"]
        return fields

    def build_mixer(self, layer: int) -> Mixer:
        """Return the prefix mean for a pool layer, attention for any other."""
        if layer not in self.pool_layers:
            return super().build_mixer(layer)
        return MeanPoolMixer(
            self.d_model, self.pool_width, init_std=self.residual_std, dropout=self.dropout, bias=self.bias
        )


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
