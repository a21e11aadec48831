"""Softmax attention, causal unless asked otherwise, with an explicit reference."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection


class KeyValueCache(NamedTuple):
    """The keys and values of all positions seen so far."""

    k_BHTK: Tensor
    v_BHTK: Tensor


class SelfAttention(Mixer):
    """The linear maps of multi-head attention, which all kinds of it share.

    Args:
        d_model: Width; `num_heads` must divide it.
        num_heads: Heads.
        init_std: Initial standard deviation of the weights of the output projection.
        dropout: Of the attention weights, and after the output projection.
        bias: Biases in both projections.
        causal: False: over all positions, later ones included.
    """

    def __init__(
        self, d_model: int, num_heads: int, *, init_std: float, dropout: float, bias: bool, causal: bool = True
    ) -> None:
        super().__init__()
        self.num_heads, self.dropout, self.causal = num_heads, dropout, causal
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=bias)
        self.out = ResidualProjection(d_model, d_model, init_std=init_std, bias=bias)
        self.out_dropout = nn.Dropout(dropout)

    def heads(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each of shape BHTK."""
        q_BTD, k_BTD, v_BTD = self.qkv(x_BTD).chunk(3, dim=-1)
        split = (self.num_heads, x_BTD.shape[-1] // self.num_heads)
        return tuple(part.unflatten(-1, split).transpose(1, 2) for part in (q_BTD, k_BTD, v_BTD))


class CausalSelfAttention(SelfAttention):
    """Multi-head softmax attention of each position over itself and the positions before it.

    Arguments are those of `SelfAttention`.

    Source:
        Vaswani et al. (2017), "Attention is all you need", section 3.2.
    """

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Attend; time O(T²), memory O(T) where the backend has a fused kernel."""
        q_BHTK, k_BHTK, v_BHTK = self.heads(x_BTD)
        mixed_BHTK = functional.scaled_dot_product_attention(
            q_BHTK, k_BHTK, v_BHTK, dropout_p=self.dropout if self.training else 0.0, is_causal=self.causal
        )
        return MixerOutput(self.out_dropout(self.out(mixed_BHTK.transpose(1, 2).flatten(2))))

    def stream(self, x_BTD: Tensor, state: KeyValueCache | None = None) -> tuple[Tensor, KeyValueCache] | None:
        """Attend, without dropout, to the new positions and those of the cache, which grows with the sequence.

        None if later positions are attended to.
        """
        if not self.causal:
            return None
        q_BHTK, k_BHTK, v_BHTK = self.heads(x_BTD)
        if state is not None:
            k_BHTK, v_BHTK = torch.cat((state.k_BHTK, k_BHTK), -2), torch.cat((state.v_BHTK, v_BHTK), -2)
        num_new, num_seen = x_BTD.shape[1], k_BHTK.shape[-2]
        is_seen_TS = torch.ones(num_new, num_seen, dtype=torch.bool, device=x_BTD.device).tril(num_seen - num_new)
        mixed_BHTK = functional.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, attn_mask=is_seen_TS)
        y_BTD: Tensor = self.out(mixed_BHTK.transpose(1, 2).flatten(2))
        return y_BTD, KeyValueCache(k_BHTK, v_BHTK)

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Attend from the definition, with an explicit T×T matrix."""
        q_BHTK, k_BHTK, v_BHTK = self.heads(x_BTD)
        num_positions, head_dim = q_BHTK.shape[-2:]
        score_BHTT = q_BHTK @ k_BHTK.transpose(-1, -2) / math.sqrt(head_dim)
        if self.causal:
            future_TT = torch.ones(num_positions, num_positions, device=x_BTD.device).triu(1).bool()
            score_BHTT = score_BHTT.masked_fill(future_TT, -math.inf)
        mixed_BTD = (score_BHTT.softmax(-1) @ v_BHTK).transpose(1, 2).flatten(2)
        y_BTD: Tensor = self.out(mixed_BTD)
        return y_BTD
