"""How evenly the phases of positions fill the circle: gaps, discrepancy, and approximation by fractions.

Source:
    Three gaps: Sós (1958), Świerczkowski (1959). Discrepancy: Kuipers & Niederreiter (1974), chapter 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.diagnostics.vectors import WORD, Words


@dataclass(frozen=True)
class Gaps:
    """The gaps between neighbours on the circle of the first N phases."""

    num_different: int
    """At most three for the multiples of any number."""
    smallest: float
    """In mean gaps (1/N of a turn)."""
    largest: float


def gaps(words: Words) -> Gaps:
    """Measure the gaps between phases, exactly: phases are integers, and a turn wraps around by itself."""
    ordered = np.sort(words)
    if ordered[0] == ordered[-1]:
        return Gaps(1 + (len(words) > 1), 0.0, float(len(words)))  # all in one place: one gap of a whole turn
    between = np.diff(np.append(ordered, ordered[0]))
    scale = len(words) / WORD
    return Gaps(len(np.unique(between)), float(between.min()) * scale, float(between.max()) * scale)


def star_discrepancy(turns: NDArray[np.float64]) -> float:
    """Return the largest difference between the share of points in [0, x) and x, over all x."""
    ordered = np.sort(turns)
    size = len(ordered)
    rank = np.arange(1, size + 1)
    return float(max((rank / size - ordered).max(), (ordered - (rank - 1) / size).max()))


def scaled_discrepancy(words: Words) -> float:
    """Return N·D*_N / ln N, which stays bounded for the multiples of a number that fractions approximate badly."""
    size = len(words)
    return size * star_discrepancy(words / WORD) / math.log(size)


def distance_to_integer(words: Words) -> NDArray[np.float64]:
    """Return ‖x‖, the distance of a phase to a whole turn, in turns."""
    return np.minimum(words, ~words + np.uint64(1)) / WORD


def approximation(words: Words) -> float:
    """Return the least n·‖nα‖ over n = 1 … N: the larger, the worse fractions approximate α.

    Its limit inferior is at most 1/√5 = .4472, which the golden ratio reaches (Hurwitz).

    Args:
        words: The phases of positions 1 … N.
    """
    return float((np.arange(1, len(words) + 1) * distance_to_integer(words)).min())


def float32_error(words: Words, turns_a_position: float) -> float:
    """Return the largest error of the phases of positions 1 … N, in turns, if n·c is computed in float32.

    Args:
        words: The exact phases.
        turns_a_position: The constant c.
    """
    product = np.arange(1, len(words) + 1, dtype=np.float32) * np.float32(turns_a_position)
    turns = np.mod(product, np.float32(1)).astype(np.float64)
    off = np.abs(turns - words / WORD)
    return float(np.minimum(off, 1 - off).max())
