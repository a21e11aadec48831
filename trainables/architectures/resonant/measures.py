"""The measures behind the family's probes: each with unit, range, and its value for a model without structure.

The published definitions are not public (coherence, saturation, entropy flow) or do not match their names (memory
norm); these are definitions of this project unless a source is named. All are pure functions.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from trainables.layers.order_parameters import expected_resultant, resultant
from trainables.randomness import generator

SATURATED = 0.95
"""A γ above this counts as saturated."""

NULL_DRAWS = 16
"""Most simulated matrices for `expected_effective_rank`; their values differ by far less than 1 %."""

NULL_NUMBERS = 2**20
"""Most random numbers drawn for it after the first matrix: the larger matrices are, the less they differ."""


# --- phase coherence ---


def pair_phase(h_BTD: Tensor) -> Tensor:
    """Return the phase of every pair (k, k + D/2) as phase_BTP: atan2 in radians, P = D // 2 pairs."""
    half = h_BTD.shape[-1] // 2
    wide_BTD = h_BTD.to(torch.promote_types(h_BTD.dtype, torch.float32))
    return torch.atan2(wide_BTD[..., half : 2 * half], wide_BTD[..., :half])


def phase_coherence(h_BTD: Tensor) -> Tensor:
    """Return R over positions, mean over pairs and sequences: |mean_t e^{iθ}|, a scalar from 0 to 1.

    It is 1 where no phase moves. The order of the positions does not matter to it, so shuffling whole positions
    is no null; see `coherence_null` and `shuffled_coherence`.
    """
    return resultant(pair_phase(h_BTD), 1).mean()


def coherence_null(num_positions: int) -> float:
    """Return what `phase_coherence` expects of independent uniform phases: about sqrt(π / 4T)."""
    return expected_resultant(num_positions)


def shuffled_coherence(h_BTD: Tensor, draw: torch.Generator) -> Tensor:
    """Return `phase_coherence` after shuffling the two members of each pair over time, independently of each other.

    The rest is what channels with an offset give without any phase: a coherence that does not exceed it is
    that of a constant vector in every state, not of an oscillation.

    Args:
        h_BTD: Hidden states.
        draw: Generator of the permutations, on the CPU.
    """
    order_BTD = torch.rand(h_BTD.shape, generator=draw).argsort(dim=1).to(h_BTD.device)
    return phase_coherence(h_BTD.gather(1, order_BTD))


def null_corrected(value: Tensor | float, null: float) -> Tensor | float:
    """Return (value − null) / (1 − null): 0 at the null, 1 at full order, below 0 under the null."""
    return (value - null) / (1 - null)


# --- γ ---


def gamma_mean(gamma_N: Tensor) -> Tensor:
    """Return the mean over blocks of γ, the weight of the phase term: from 0 to 1.

    Raises:
        ValueError: If there is no block: then nothing is measured, and 0 would be misleading.
    """
    _require_blocks(gamma_N)
    return gamma_N.mean()


def gamma_saturation(gamma_N: Tensor) -> Tensor:
    """Return the share of blocks whose γ is above .95: from 0 to 1; 0 at the initial γ = .2.

    Raises:
        ValueError: If there is no block.
    """
    _require_blocks(gamma_N)
    return (gamma_N > SATURATED).float().mean()


def _require_blocks(gamma_N: Tensor) -> None:
    if gamma_N.numel() == 0:
        raise ValueError("γ of no block: a model without blocks has none to report")


# --- memory ---


def reach(decay: float, share: float = 0.01) -> int:
    """Return the smallest distance, in tokens, at which less than `share` of a token is left; 29 at decay .85."""
    return math.floor(math.log(share) / math.log(decay)) + 1


def readable_tokens(d_model: int, decay: float) -> float:
    """Return the distance k at which the best linear detector's signal-to-noise ratio falls to 1, in tokens.

    sqrt(D) · decay^k · sqrt(1 − decay²) = 1 for independent inputs of one size: about 20 tokens at decay .85 and
    D = 2,048. A hit rate that does not fall with depth beyond it comes from elsewhere: it is a leak.
    """
    return math.log(math.sqrt(d_model * (1 - decay**2))) / -math.log(decay)


# --- hidden states ---


def entropy_flow(h_BTD: Tensor) -> Tensor:
    """Return the mean change from one position to the next of the entropy of softmax |h_t|, nats a token.

    The changes add up to that between the last and the first position, divided by T − 1. Stationary states give 0;
    no value exceeds ln(D) / (T − 1) in size.
    """
    entropy_BT = torch.special.entr(h_BTD.abs().float().softmax(-1)).sum(-1)
    return entropy_BT.diff(dim=1).mean()


def effective_rank(h_ND: Tensor) -> Tensor:
    """Return exp of the entropy of the normalised singular values: from 1 to min(N, D).

    A coherence near 1 with an effective rank near 1 is a collapse, not synchronisation.

    Source:
        Roy and Vetterli (2007), "The effective rank", EUSIPCO, pages 606-610.
    """
    singular_R = torch.linalg.svdvals(h_ND.to(torch.promote_types(h_ND.dtype, torch.float32)))
    return torch.special.entr(singular_R / singular_R.sum()).sum().exp()


@functools.cache
def expected_effective_rank(num_rows: int, num_columns: int) -> float:
    """Return the effective rank of a matrix of independent normal numbers, by a seeded simulation."""
    with _disable_current_modes():  # a cached constant: must not be computed with fake tensors
        draw = generator(0, "null", "effective_rank", str(num_rows), str(num_columns))
        num_draws = max(1, min(NULL_DRAWS, NULL_NUMBERS // (num_rows * num_columns)))
        matrices = torch.randn(num_draws, num_rows, num_columns, generator=draw)
        return float(torch.stack([effective_rank(matrix) for matrix in matrices]).mean())
