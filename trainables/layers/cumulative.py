"""Prefix sums and means over time, in O(T)."""

from __future__ import annotations

from typing import NamedTuple

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


class PrefixSum(NamedTuple):
    """The sum of a prefix and the number of its positions."""

    total_x: Tensor
    num_positions: int


def cumulative_mean(x_xT: Tensor, before: PrefixSum | None = None) -> tuple[Tensor, PrefixSum]:
    """Return the mean of x_j over j <= t along the last dimension, and the sum from which it can be continued.

    Args:
        x_xT: What is averaged.
        before: The second result of the call on the preceding positions; None at the start.
    """
    sum_xT, start = cumulative_sum(x_xT), 0
    if before is not None:
        sum_xT, start = sum_xT + before.total_x.unsqueeze(-1), before.num_positions
    end = start + x_xT.shape[-1]
    count_T = torch.arange(start + 1, end + 1, dtype=x_xT.dtype, device=x_xT.device)
    return sum_xT / count_T, PrefixSum(sum_xT[..., -1], end)
