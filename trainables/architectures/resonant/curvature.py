"""The curvature of a memory's trace, and where it is large: at the needle, or anywhere.

Shapes: B sequences, T positions, U = T − 2 curvatures, D channels.

Source:
    attention-free-phase-blocks, src/phase_curvature.py and src/train.py, which measure it on one example. There the
    peak's height is that of a curvature scaled to 0 … 1, so that the largest is 1 by construction.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEAR_TOKENS = 4
"""A peak within so many tokens of the needle's first one is at the needle, as published."""

SOON_TOKENS = 50
"""A later peak within so many tokens is after the needle, as published; beyond, it is far."""


def curvature(trace_BTD: Tensor) -> Tensor:
    """Return κ_t = ‖z_{t+2} − 2 z_{t+1} + z_t‖ as kappa_BU with U = T − 2; entry u belongs to position u + 1.

    It measures how jagged the trace is: independent states give sqrt(6 D) standard deviations at every position.
    """
    return torch.linalg.vector_norm(trace_BTD.diff(n=2, dim=1), dim=-1)


def curvature_entropy(kappa_BU: Tensor) -> Tensor:
    """Return the entropy of κ / Σκ over ln U, mean over sequences: 1 for a constant κ, 0 for one single peak.

    In many dimensions κ of noise hardly varies, so that it is near 1 without any event: see
    `curvature_entropy_null`.
    """
    share_BU = kappa_BU / kappa_BU.sum(1, keepdim=True)
    return torch.special.entr(share_BU).sum(1).mean() / math.log(kappa_BU.shape[1])


def curvature_entropy_null(num_curvatures: int, d_model: int) -> float:
    """Return the `curvature_entropy` of independent or smoothed normal noise, 1 − 1 / (4 D ln U) for large D.

    The logged .9997 is what noise in 130 dimensions gives.

    Source:
        κ is then a multiple of a χ variable with D degrees of freedom, of relative variance 1 / (2 D), and an
        entropy falls short of its largest value by half of that.
    """
    return 1 - 1 / (4 * d_model * math.log(num_curvatures))


# --- at the needle ---


def needle_starts(tokens_BT: Tensor, answer_length: int) -> Tensor:
    """Return where each sequence first contains its last `answer_length` tokens, start_B: the needle's place."""
    part_BNL = tokens_BT.unfold(1, answer_length, 1)
    return (part_BNL == part_BNL[:, -1:]).all(-1).long().argmax(1)


def at_needle(kappa_BU: Tensor, start_B: Tensor) -> dict[str, Tensor]:
    """Return where the curvature of each sequence is large, by measure, each of shape (B,).

    `peak_distance`: tokens between the needle's first one and the largest curvature. `peak_before`, `peak_near`,
    `peak_after`, `peak_far_after`: whether that is more than 4 tokens before the needle, within 4, up to 50 after,
    or later. `height`: the largest curvature within 4 tokens, where 0 and 1 are the sequence's least and
    largest. `share_before`: the part of all curvature that comes before the needle.

    Args:
        kappa_BU: `curvature` of a trace; entry u belongs to position u + 1.
        start_B: Position of the needle's first token.
    """
    position_U = torch.arange(1, kappa_BU.shape[1] + 1, device=kappa_BU.device)
    distance_BU = position_U - start_B[:, None]
    offset_B = distance_BU.gather(1, kappa_BU.argmax(1, keepdim=True)).squeeze(1)
    least_B1, most_B1 = kappa_BU.amin(1, keepdim=True), kappa_BU.amax(1, keepdim=True)
    tiny = torch.finfo(kappa_BU.dtype).tiny  # of a constant curvature nothing stands out: 0
    height_BU = (kappa_BU - least_B1) / (most_B1 - least_B1).clamp(min=tiny)
    found = {
        "peak_distance": offset_B.abs(),
        "peak_before": offset_B < -NEAR_TOKENS,
        "peak_near": offset_B.abs() <= NEAR_TOKENS,
        "peak_after": (offset_B > NEAR_TOKENS) & (offset_B <= SOON_TOKENS),
        "peak_far_after": offset_B > SOON_TOKENS,
        "height": height_BU.masked_fill(distance_BU.abs() > NEAR_TOKENS, 0).amax(1),
        "share_before": kappa_BU.masked_fill(distance_BU >= 0, 0).sum(1) / kappa_BU.sum(1).clamp(min=tiny),
    }
    return {name: value_B.double() for name, value_B in found.items()}


def at_needle_null(kappa_BU: Tensor, start_B: Tensor) -> dict[str, Tensor]:
    """Return what `at_needle` expects if places were shuffled among the sequences, by measure, scalars.

    Every curvature is laid beside every sequence's place: their mean is that of all permutations. It needs no
    assumption on where needles are, and is what a trace gives that does not know its own. The published signed
    offset has no such null: as a mean of differences it is the same for all permutations.
    """
    size = len(kappa_BU)
    found = at_needle(kappa_BU.repeat_interleave(size, 0), start_B.repeat(size))
    return {name: value_M.mean() for name, value_M in found.items()}
