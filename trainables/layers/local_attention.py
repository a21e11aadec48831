"""Causal softmax attention over the last few positions, for the hybrid memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection


class LocalAttention(Mixer):
    """Multi-head softmax attention of each position over a window: itself and the positions before it; O(T·window).

    Time is cut into blocks of one window: a position sees its own block and the one before.

    Args:
        d_model: Width D.
        num_heads: Heads H; must divide D.
        window: Positions in the window, the current one included.
        init_std: Initial standard deviation of the weights of the output projection.
        dropout: Of the attention weights and of the output.
        bias: Biases in both projections.

    Raises:
        ValueError: If the heads do not divide the width, or the window is below 1.
    """

    def __init__(
        self, d_model: int, num_heads: int, window: int, *, init_std: float, dropout: float, bias: bool
    ) -> None:
        super().__init__()
        if d_model % num_heads:
            raise ValueError(f"num_heads={num_heads} must divide d_model={d_model}")
        if window < 1:
            raise ValueError(f"window must be at least 1 position, got {window}")
        self.num_heads, self.window, self.dropout = num_heads, window, dropout
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=bias)
        self.out = ResidualProjection(d_model, d_model, init_std=init_std, bias=bias)
        self.out_dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Attend within the sequence."""
        return MixerOutput(self.run(x_BTD)[0])

    def run(self, x_BTD: Tensor, recent_BND: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend, and return what later positions need.

        Args:
            x_BTD: The input.
            recent_BND: The second result of the call on the preceding positions; None at the start of a sequence.

        Returns:
            The output at the new positions, and the last inputs, at most `window` − 1 of them.
        """
        seen_BTD = x_BTD if recent_BND is None else torch.cat((recent_BND, x_BTD), dim=1)
        num_seen, num_new = seen_BTD.shape[1], x_BTD.shape[1]
        y_BTD = self._attend(seen_BTD)[:, num_seen - num_new :]
        return y_BTD, seen_BTD[:, max(num_seen - self.window + 1, 0) :]

    def _attend(self, x_BTD: Tensor) -> Tensor:
        """Attend at every position of `x_BTD`, block by block."""
        seq_len, d_model = x_BTD.shape[1:]
        width = min(self.window, seq_len)
        num_blocks = -(-seq_len // width)
        padded_BTD = functional.pad(x_BTD, (0, 0, 0, num_blocks * width - seq_len))
        split = (num_blocks, width, 3, self.num_heads, d_model // self.num_heads)
        q, k, v = self.qkv(padded_BTD).unflatten(1, split[:2]).unflatten(-1, split[2:]).permute(3, 0, 1, 4, 2, 5)
        k, v = (torch.cat((functional.pad(one, (0,) * 6 + (1, -1)), one), dim=-2) for one in (k, v))
        mixed_BNHWK = functional.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=self._visible(num_blocks, width, x_BTD.device),
            dropout_p=self.dropout if self.training else 0.0,
        )
        mixed_BTD = mixed_BNHWK.transpose(2, 3).flatten(3).flatten(1, 2)[:, :seq_len]
        y_BTD: Tensor = self.out_dropout(self.out(mixed_BTD))
        return y_BTD

    @staticmethod
    def _visible(num_blocks: int, width: int, device: torch.device) -> Tensor:
        """Return, as (N, 1, W, 2W), which positions of its own and the previous block each position sees."""
        query_W1 = torch.arange(width, device=device).unsqueeze(-1) + width
        key_2W = torch.arange(2 * width, device=device)
        near_W2W = (key_2W <= query_W1) & (key_2W > query_W1 - width)
        is_there_N11 = torch.arange(num_blocks, device=device).view(-1, 1, 1) > 0
        return (near_W2W & (is_there_N11 | (key_2W >= width))).unsqueeze(1)

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Attend from the definition, with an explicit T×T matrix."""
        split = (3, self.num_heads, x_BTD.shape[-1] // self.num_heads)
        q_BHTK, k_BHTK, v_BHTK = self.qkv(x_BTD).unflatten(-1, split).permute(2, 0, 3, 1, 4)
        score_BHTT = q_BHTK @ k_BHTK.transpose(-1, -2) / math.sqrt(q_BHTK.shape[-1])
        ones_TT = torch.ones(score_BHTT.shape[-2:], device=x_BTD.device)
        is_seen_TT = ones_TT.tril().triu(1 - self.window).bool()
        weight_BHTT = score_BHTT.masked_fill(~is_seen_TT, -math.inf).softmax(-1)
        y_BTD: Tensor = self.out((weight_BHTT @ v_BHTK).transpose(1, 2).flatten(2))
        return y_BTD
