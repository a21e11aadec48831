"""One linear model over all arms, with the seed as block: effects and interactions with their t-tests.

All arms estimate the error together, so with equal replicates it finds smaller effects than a contrast a seed does:
16 arms with 5 seeds have 60 degrees of freedom and more where those have 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.inference import TTest

_ESTIMABLE = 1e-8
_NO_VARIANCE = 1e-12
"""Residuals below this share of the values are rounding."""


@dataclass(frozen=True)
class Effect:
    """An estimated coefficient."""

    value: float
    test: TTest | None
    """Against 0; None without a degree of freedom, or if nothing is left to estimate the error from."""


@dataclass(frozen=True)
class BlockFit:
    """A fitted model."""

    effects: tuple[Effect | None, ...]
    """One a regressor; None: these observations cannot tell it from others."""
    df: int
    """Residual degrees of freedom."""


def fit_blocks(regressors_NK: np.ndarray, values_N: np.ndarray, blocks: Sequence[int]) -> BlockFit:
    """Fit values by regressors and a constant for each block, by least squares.

    Args:
        regressors_NK: Shape (observations, regressors).
        values_N: Shape (observations,), at least one.
        blocks: The block of each observation, such as its seed.

    Source:
        Box, Hunter & Hunter (2005), "Statistics for Experimenters", chapters 4 and 5.
    """
    names = sorted(set(blocks))
    blocks_NB = np.array([[block == name for name in names] for block in blocks], dtype=float)
    design_NP = np.hstack([regressors_NK, blocks_NB])
    inverse_PN = np.linalg.pinv(design_NP)
    coefficient_P = inverse_PN @ values_N
    projection_PP = inverse_PN @ design_NP
    residual_N = values_N - design_NP @ coefficient_P
    df = len(values_N) - int(np.linalg.matrix_rank(design_NP))
    size = float(np.linalg.norm(values_N))
    spread = float(np.linalg.norm(residual_N))
    has_variance = df > 0 and spread > _NO_VARIANCE * size
    effects: list[Effect | None] = []
    for k in range(regressors_NK.shape[1]):
        if abs(projection_PP[k, k] - 1) > _ESTIMABLE:
            effects.append(None)
            continue
        value = float(coefficient_P[k])
        error = spread * float(np.linalg.norm(inverse_PN[k])) / math.sqrt(df) if has_variance else 0.0
        effects.append(Effect(value, TTest(value, error, df) if has_variance else None))
    return BlockFit(tuple(effects), df)
