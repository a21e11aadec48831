"""A Llama written out from its definition in float64, with any positions: the reference of what is swapped in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Rotate = Callable[[int, int], tuple[float, float]]
"""From a position and the number of a pair of channels to cosine and sine (each times any factor)."""


def rotary(base: float, width: int) -> Rotate:
    """RoPE in heads of `width` channels."""
    return lambda place, pair: turn(place * base ** (-2 * pair / width))


def turn(angle: float) -> tuple[float, float]:
    return math.cos(angle), math.sin(angle)


def none(place: int, pair: int) -> tuple[float, float]:
    return 1.0, 0.0


@torch.no_grad()
def naive_logits(
    model: Any,
    tokens_T: Tensor,
    rotate: Rotate,
    *,
    first: int = 0,
    slope_H: list[float] | None = None,
    window: int | None = None,
    entering: dict[int, Tensor] | None = None,
    at_attention: Tensor | float = 0.0,
) -> Tensor:
    """Return logits_TV of one sequence, in float64.

    Args:
        model: Of `transformers`, a Llama or a Mistral.
        tokens_T: The sequence.
        rotate: Angles of queries and keys.
        first: Position of the first token.
        slope_H: What a score loses with each position of distance, by head.
        window: Tokens that are seen.
        entering: What is added to the hidden states that enter a layer, x_TD by layer.
        at_attention: What is added to the input of attention in all layers, x_TD.
    """
    config = model.config
    heads, kept = config.num_attention_heads, config.num_key_value_heads
    width = config.hidden_size // heads
    x_TD = model.model.embed_tokens.weight.double()[tokens_T]
    for number, layer in enumerate(model.model.layers):
        x_TD = x_TD + (entering or {}).get(number, 0.0)
        attention = layer.self_attn
        h_TD = _norm(x_TD, layer.input_layernorm) + at_attention
        q_THK, k_THK, v_THK = (
            _linear(projection, h_TD).view(len(tokens_T), -1, width)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        q_THK, k_THK = (_rotated(x_THK, rotate, first) for x_THK in (q_THK, k_THK))
        y_THK = torch.zeros_like(q_THK)
        for head in range(heads):
            of = head // (heads // kept)
            for t in range(len(tokens_T)):
                start = 0 if window is None else max(0, t - window + 1)
                score_S = k_THK[start : t + 1, of] @ q_THK[t, head] / math.sqrt(width)
                if slope_H is not None:
                    score_S = score_S - slope_H[head] * (t - torch.arange(start, t + 1))
                y_THK[t, head] = score_S.softmax(0) @ v_THK[start : t + 1, of]
        x_TD = x_TD + _linear(attention.o_proj, y_THK.flatten(1))
        h_TD = _norm(x_TD, layer.post_attention_layernorm)
        gate_TF = torch.nn.functional.silu(_linear(layer.mlp.gate_proj, h_TD))
        x_TD = x_TD + _linear(layer.mlp.down_proj, gate_TF * _linear(layer.mlp.up_proj, h_TD))
    return _norm(x_TD, model.model.norm) @ model.lm_head.weight.double().T


def _rotated(x_THK: Tensor, rotate: Rotate, first: int) -> Tensor:
    y_THK = torch.empty_like(x_THK)
    pairs = x_THK.shape[-1] // 2
    for t in range(len(x_THK)):
        for pair in range(pairs):
            cos, sin = rotate(first + t, pair)
            one_H, other_H = x_THK[t, :, pair], x_THK[t, :, pair + pairs]
            y_THK[t, :, pair] = one_H * cos - other_H * sin
            y_THK[t, :, pair + pairs] = other_H * cos + one_H * sin
    return y_THK


def _norm(x_TD: Tensor, norm: Any) -> Tensor:
    return x_TD / (x_TD.square().mean(-1, keepdim=True) + norm.variance_epsilon).sqrt() * norm.weight.double()


def _linear(layer: Any, x_TD: Tensor) -> Tensor:
    y_TD = x_TD @ layer.weight.double().T
    return y_TD if layer.bias is None else y_TD + layer.bias.double()
