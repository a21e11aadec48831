"""One linear model over all arms, with the seed as block: effects and interactions with their t-tests.

All arms estimate the error together, so with equal replicates it finds smaller effects than a contrast a seed does:
16 arms with 5 seeds have 60 degrees of freedom and more where those have 4. That takes effects to be the same for
every seed. Where they are not, or where arms are near copies of each other, the error is too small; so each effect
comes with a test of that, and with the t-test over seeds, which does not need it.
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
    p_of_blocks: float | None
    """Of the hypothesis that it is the same in every block, by F; None where that cannot be tested."""
    over_blocks: TTest | None
    """Against 0 by one estimate a block; None below two blocks, or where a block alone cannot tell it."""


@dataclass(frozen=True)
class BlockFit:
    """A fitted model."""

    effects: tuple[Effect | None, ...]
    """One a regressor; None: these observations cannot tell it from others."""
    df: int
    """Residual degrees of freedom."""


@dataclass(frozen=True)
class _LeastSquares:
    inverse_PN: np.ndarray
    coefficient_P: np.ndarray
    is_estimable_P: np.ndarray
    spread: float
    """Norm of the residuals."""
    df: int


def fit_blocks(regressors_NK: np.ndarray, values_N: np.ndarray, blocks: Sequence[int]) -> BlockFit:
    """Fit values by regressors and a constant for each block, by least squares.

    Args:
        regressors_NK: Shape (observations, regressors).
        values_N: Shape (observations,), at least one.
        blocks: The block of each observation, such as its seed.

    Source:
        Box, Hunter & Hunter (2005), "Statistics for Experimenters", chapters 4 and 5.
    """
    in_block_BN = np.array([[block == name for block in blocks] for name in sorted(set(blocks))])
    design_NP = np.hstack([regressors_NK, in_block_BN.T])
    fit = _solve(design_NP, values_N)
    alone = [_solve(design_NP[own_N], values_N[own_N]) for own_N in in_block_BN]
    size = float(np.linalg.norm(values_N))
    has_variance = fit.df > 0 and fit.spread > _NO_VARIANCE * size
    effects: list[Effect | None] = []
    for k in range(regressors_NK.shape[1]):
        if not fit.is_estimable_P[k]:
            effects.append(None)
            continue
        value, test, p = float(fit.coefficient_P[k]), None, None
        if has_variance:
            error = fit.spread * float(np.linalg.norm(fit.inverse_PN[k])) / math.sqrt(fit.df)
            test = TTest(value, error, fit.df)
            own_NB = regressors_NK[:, [k]] * in_block_BN.T
            p = _p_of_more(fit, _solve(np.hstack([design_NP, own_NB]), values_N), size)
        effects.append(Effect(value, test, p, _over_blocks(alone, k, size)))
    return BlockFit(tuple(effects), fit.df)


def _solve(design_NP: np.ndarray, values_N: np.ndarray) -> _LeastSquares:
    inverse_PN = np.linalg.pinv(design_NP)
    coefficient_P = inverse_PN @ values_N
    return _LeastSquares(
        inverse_PN,
        coefficient_P,
        np.abs(np.einsum("pn,np->p", inverse_PN, design_NP) - 1) < _ESTIMABLE,
        float(np.linalg.norm(values_N - design_NP @ coefficient_P)),
        len(values_N) - int(np.linalg.matrix_rank(design_NP)),
    )


def _p_of_more(fit: _LeastSquares, larger: _LeastSquares, size: float) -> float | None:
    """Return the p of F that a larger model fits no better."""
    from scipy import special

    more = fit.df - larger.df
    if more == 0 or larger.df == 0 or larger.spread <= _NO_VARIANCE * size:
        return None
    f = ((fit.spread**2 - larger.spread**2) / more) / (larger.spread**2 / larger.df)
    return float(special.fdtrc(more, larger.df, max(f, 0.0)))


def _over_blocks(alone: Sequence[_LeastSquares], k: int, size: float) -> TTest | None:
    if len(alone) < 2 or not all(fit.is_estimable_P[k] for fit in alone):
        return None
    value_B = np.array([fit.coefficient_P[k] for fit in alone])
    error = float(value_B.std(ddof=1)) / math.sqrt(len(alone))
    return TTest(float(value_B.mean()), error, len(alone) - 1) if error > _NO_VARIANCE * size else None
