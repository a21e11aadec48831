"""Prefix sums and means over time, in O(T)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 64


def cumulative_sum(x_xT: Tensor) -> Tensor:
    """Return sum_{j<=t} x_j along the last dimension.

    Computed as products with a triangular matrix of at most 64×64, block by block: unlike `torch.cumsum` this
    gives equal bits from run to run on a GPU too, its backward pass is one more product, and the rounding
    error grows with the logarithm of T.
    """
    num_positions = x_xT.shape[-1]
    width = min(num_positions, BLOCK)
    num_blocks = -(-num_positions // width)
    padded = functional.pad(x_xT, (0, num_blocks * width - num_positions)) if num_positions % width else x_xT
    upper = torch.ones(width, width, dtype=x_xT.dtype, device=x_xT.device).triu()
    with torch.autocast(x_xT.device.type, enabled=False):  # a sum over time needs all of float32's digits
        within = padded.unflatten(-1, (num_blocks, width)) @ upper
    if num_blocks == 1:
        return within.flatten(-2)
    before = cumulative_sum(functional.pad(within[..., -1], (1, -1)))  # exclusive, so no digit of the future
    return (within + before.unsqueeze(-1)).flatten(-2)[..., :num_positions]


def cumulative_mean(x_xT: Tensor) -> Tensor:
    """Return the mean of x_j over j <= t along the last dimension."""
    count_T = torch.arange(1, x_xT.shape[-1] + 1, dtype=x_xT.dtype, device=x_xT.device)
    return cumulative_sum(x_xT) / count_T
