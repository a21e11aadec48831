"""ALiBi: attention with a bias that falls with the distance, and no other positions.

Source:
    Press et al. (2021), "Train short, test long: attention with linear biases enables input length extrapolation".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def slopes(num_heads: int) -> list[float]:
    """Return the slope of each head, in nats a position.

    2^{−8h/n} for h = 1…n if the number n of heads is a power of 2. Otherwise those of the largest power of 2 below,
    followed by every other slope of twice as many heads.
    """
    below = 1 << (num_heads.bit_length() - 1)
    found = [2.0 ** (-8 * head / below) for head in range(1, below + 1)]
    between = [2.0 ** (-8 * head / (2 * below)) for head in range(1, 2 * below, 2)]
    return found + between[: num_heads - below]


def alibi_bias(
    num_heads: int, query_T: Tensor, key_S: Tensor, *, causal: bool = True, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return what is added to the scores, (..., H, T, S): −slope · distance, and −∞ for keys after the query.

    Args:
        num_heads: Heads H.
        query_T: Positions of the queries, (..., T), int64.
        key_S: Positions of the keys, (..., S), int64.
        causal: False: later keys count by their distance, too.
        dtype: Of the bias.
    """
    distance_TS = (query_T.unsqueeze(-1) - key_S.unsqueeze(-2)).unsqueeze(-3)
    far_TS = distance_TS.abs().to(dtype)
    if causal:
        far_TS = far_TS.masked_fill(distance_TS < 0, math.inf)
    slope_H11 = torch.tensor(slopes(num_heads), dtype=dtype, device=query_T.device).view(-1, 1, 1)
    return -slope_H11 * far_TS
