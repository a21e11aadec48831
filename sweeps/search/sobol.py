"""Sobol points by their number: the same numbers give the same points, whatever was asked for before."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FIRST_BLOCK = 6


def sobol_fractions(number: int, num_dimensions: int, seed: int) -> list[float]:
    """Return point `number` of a scrambled Sobol sequence in [0, 1).

    Args:
        number: Counts from 0.
        num_dimensions: At least 1.
        seed: Of the scrambling.
    """
    block = max(_FIRST_BLOCK, number.bit_length())
    point: list[float] = _points(block, num_dimensions, seed)[number].tolist()
    return point


@functools.lru_cache(maxsize=16)
def _points(log2_count: int, num_dimensions: int, seed: int) -> NDArray[np.float64]:
    """Return the first 2**`log2_count` points; longer ones begin with the same points."""
    from scipy.stats import qmc

    points: NDArray[np.float64] = qmc.Sobol(num_dimensions, scramble=True, rng=seed).random_base2(log2_count)
    return points
