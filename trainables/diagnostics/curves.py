"""What figures show of an encoding: similarity by lag, spectrum, and discrepancy by the number of positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.diagnostics.similarity import mean_similarity
from trainables.diagnostics.spectrum import binned, periodogram
from trainables.diagnostics.uniformity import scaled_discrepancy
from trainables.diagnostics.vectors import PositionVectors

NUM_BINS = 160
NUM_SIZES = 25
SMALLEST_SIZE = 10


@dataclass(frozen=True)
class EncodingCurves:
    """Points of the curves of one encoding; empty where it has no such property."""

    encoding: str
    lags: list[int]
    """The first lag of each bin; the bins are as wide on a logarithmic scale."""
    lowest: list[float]
    """The lowest similarity in a bin."""
    highest: list[float]
    frequencies: list[float]
    """In cycles a position, of the first pair."""
    power: list[float]
    """The mean around each frequency, as a multiple of the mean over all."""
    sizes: list[int]
    """Numbers of positions N."""
    discrepancy: list[float]
    """N·D*/ln N of the phases of the first N positions."""


def curves_of(vectors: PositionVectors, num_positions: int) -> EncodingCurves:
    """Return the curves over the first N positions, at most some hundred points each."""
    similarity = mean_similarity(vectors, num_positions)
    edges = np.unique(np.geomspace(1, len(similarity), NUM_BINS).astype(int))[:-1]
    lows = np.minimum.reduceat(similarity, edges) if len(edges) else np.array([])
    highs = np.maximum.reduceat(similarity, edges) if len(edges) else np.array([])
    frequencies, power, sizes, discrepancies = [], [], [], []
    if vectors.num_pairs:
        bins = binned(periodogram(vectors.pair(0, np.arange(num_positions))), NUM_BINS)
        frequencies, power = list(bins[0]), list(bins[1])
    if vectors.words is not None and num_positions > SMALLEST_SIZE:
        words = vectors.words(np.arange(1, num_positions + 1))
        sizes = np.unique(np.geomspace(SMALLEST_SIZE, num_positions, NUM_SIZES).astype(int)).tolist()
        discrepancies = [scaled_discrepancy(words[:size]) for size in sizes]
    return EncodingCurves(
        encoding=vectors.name,
        lags=edges.tolist(),
        lowest=lows.tolist(),
        highest=highs.tolist(),
        frequencies=frequencies,
        power=power,
        sizes=sizes,
        discrepancy=discrepancies,
    )
