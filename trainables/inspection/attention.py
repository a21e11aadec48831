"""Where a model attends: the weights of every call of softmax attention in a forward pass, whoever makes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainables.architectures.base.model import LanguageModel


@dataclass(frozen=True)
class AttentionMap:
    """The weights of one layer, mean over sequences and heads."""

    layer: int
    """Number of the call, from 0."""
    weights_TS: list[list[float]]
    """Of each query (row) over the keys, both averaged in bins of neighbouring positions; a row sums to 1."""
    distance: float
    """How far back it looks, in tokens: the mean over queries."""
    distance_of_uniform: float
    """The same of attention that looks at all of the past alike."""


@torch.no_grad()
def attention_maps(model: LanguageModel, tokens_BT: Tensor, num_bins: int = 64) -> list[AttentionMap]:
    """Return a map of each call of softmax attention with as many queries as there are tokens; none without any.

    Args:
        model: In evaluation mode.
        tokens_BT: Sequences; the weights take memory of their length squared.
        num_bins: Bins of a map to each side, at most the length.
    """
    watching = _Watching()
    with watching:
        model(tokens_BT)
    length = tokens_BT.shape[1]
    weights = [weight_TS for weight_TS in watching.weights if weight_TS.shape == (length, length)]
    return [_map(layer, weight_TS, min(num_bins, length)) for layer, weight_TS in enumerate(weights)]


class _Watching(TorchFunctionMode):
    """Computes the weights that scaled dot-product attention never returns."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.scaled_dot_product_attention:
            self.weights.append(_weights(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


def _weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return the weights, mean over everything but queries and keys; arguments are those of PyTorch's function."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scores = query.float() @ key.float().transpose(-1, -2) * (scale or 1 / math.sqrt(query.shape[-1]))
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1).flatten(0, -3).mean(0).double().cpu()


def _map(layer: int, weight_TS: Tensor, num_bins: int) -> AttentionMap:
    length = len(weight_TS)
    position_T = torch.arange(length, dtype=torch.float64)
    distance_TS = (position_T[:, None] - position_T).abs()
    allowed_TS = torch.ones_like(weight_TS)
    if not weight_TS.triu(1).any():
        allowed_TS = allowed_TS.tril()
    uniform_TS = allowed_TS / allowed_TS.sum(1, keepdim=True)
    bin_T = (position_T * num_bins / length).long()
    in_bin_NT = functional.one_hot(bin_T, num_bins).double().T
    binned_NN = (in_bin_NT / in_bin_NT.sum(1, keepdim=True)) @ weight_TS @ in_bin_NT.T
    return AttentionMap(
        layer=layer,
        weights_TS=binned_NN.tolist(),
        distance=float((weight_TS * distance_TS).sum(1).mean()),
        distance_of_uniform=float((uniform_TS * distance_TS).sum(1).mean()),
    )
