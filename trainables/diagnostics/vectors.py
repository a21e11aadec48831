"""An encoding of positions as vectors: for each position some pairs (cos, sin), as complex numbers.

Needs NumPy only. It is the exact counterpart of `trainables.layers.encodings`, which computes in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Words = NDArray[np.uint64]
"""Phases as integers: a whole turn is 2^64, so that sums and products of positions are exact."""
Pairs = NDArray[np.complex128]
Similarity = NDArray[np.float64]
"""Cosines of the angle between the vectors of two positions."""

WORD = 2.0**64


@dataclass(frozen=True, kw_only=True)
class PositionVectors:
    """An encoding: a vector for every position."""

    name: str
    num_pairs: int
    """Half the width of a vector; 0 if there are no vectors (ALiBi is a bias on scores)."""
    pair: Callable[[int, Positions], Pairs]
    """Returns one pair at some positions."""
    by_lag: Callable[[Positions], Similarity] | None
    """Returns the similarity of two positions by how far they are apart, in closed form; None if it depends on
    where they are, too."""
    words: Callable[[Positions], Words] | None = None
    """Returns the phase, if one phase is all there is."""
    turns_a_position: float | None = None
    """By how much that phase grows with each position, if evenly."""

    def between(self, left: Positions, right: Positions) -> Similarity:
        """Return the similarity of pairs of positions."""
        if self.by_lag is not None:
            return self.by_lag(np.abs(right - left))
        product, norms = np.zeros(left.shape), np.zeros((2, *left.shape))
        for index in range(self.num_pairs):
            a, b = self.pair(index, left), self.pair(index, right)
            product += (a.conj() * b).real
            norms += np.stack((np.abs(a) ** 2, np.abs(b) ** 2))
        similarity: Similarity = product / np.sqrt(norms[0] * norms[1])
        return similarity


def phases(
    name: str, words: Sequence[Callable[[Positions], Words]], *, turns_a_position: Sequence[float] | None = None
) -> PositionVectors:
    """Return the encoding whose pairs have these phases; with one phase its vectors have rank 2 at any width.

    Args:
        name: Of the encoding.
        words: Returns the phase of each pair.
        turns_a_position: By how much each grows with the position; None if not evenly.
    """

    def by_lag(lags: Positions) -> Similarity:
        total = np.zeros(lags.shape)
        for phase in words:
            total += np.cos(2 * np.pi * (phase(lags) / WORD))
        return total / len(words)

    is_one = len(words) == 1
    return PositionVectors(
        name=name,
        num_pairs=len(words),
        pair=lambda index, positions: np.exp(2j * np.pi * (words[index](positions) / WORD)),
        by_lag=None if turns_a_position is None else by_lag,
        words=words[0] if is_one else None,
        turns_a_position=turns_a_position[0] if is_one and turns_a_position is not None else None,
    )


def rotations(name: str, radians_P: NDArray[np.float64]) -> PositionVectors:
    """Return the encoding whose pairs turn at constant rates, in radians a position, as rotary encodings do."""

    def pair(index: int, positions: Positions) -> Pairs:
        return np.exp(1j * radians_P[index] * positions)

    def by_lag(lags: Positions) -> Similarity:
        total = np.zeros(lags.shape)
        for rate in radians_P:
            total += np.cos(rate * lags)
        return total / len(radians_P)

    return PositionVectors(name=name, num_pairs=len(radians_P), pair=pair, by_lag=by_lag)
