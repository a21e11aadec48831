"""Everything that is measured of one encoding over its first N positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.diagnostics import similarity as alike
from trainables.diagnostics import spectrum, uniformity
from trainables.diagnostics.vectors import PositionVectors

MIN_POSITIONS = 2


@dataclass(frozen=True)
class EncodingDiagnosis:
    """The properties of an encoding; None where it has no such property."""

    encoding: str
    num_positions: int
    num_pairs: int
    """Half the width of its vectors; 1 if all pairs have the same phase; 0 without vectors."""
    is_relative: bool
    """Whether two positions look alike by how far they are apart only."""
    rank: int | None
    """Dimensions that the vectors span."""
    collisions: alike.Collisions
    recurrence_lag: int | None
    """The first lag at which positions look as they did at the start; None if there is none among N."""
    recurrences: list[alike.Recurrence]
    """Lags at which positions are more alike than at any smaller one, of an encoding by phase only."""
    at_offsets: list[alike.OffsetSimilarity]
    """The published metric."""
    distance_ratios: list[alike.DistanceRatio]
    flatness: float | None
    """Of the spectrum over positions, the mean over up to eight pairs; white noise has `white_noise_flatness`."""
    white_noise_flatness: float
    entropy: float | None
    """The published spectral entropy, in nats."""
    largest_entropy: float
    gaps: uniformity.Gaps | None
    discrepancy: float | None
    """N·D*/ln N of the phases of positions 1 … N."""
    approximation: float | None
    """The least n·‖nα‖ over positions 1 … N; fractions approximate a constant badly if it is large."""
    float32_error: float | None
    """Largest error of a phase if it is computed in float32, in turns."""


def diagnose(vectors: PositionVectors, num_positions: int) -> EncodingDiagnosis:
    """Measure an encoding over its first positions; time O(N log N), a few seconds for a million.

    Raises:
        ValueError: If there are fewer than two positions.
    """
    if num_positions < MIN_POSITIONS:
        raise ValueError(f"at least {MIN_POSITIONS} positions are needed, got {num_positions}")
    similarity = alike.mean_similarity(vectors, num_positions)
    words = None if vectors.words is None else vectors.words(np.arange(1, num_positions + 1))
    is_relative, rate = vectors.by_lag is not None, vectors.turns_a_position
    return EncodingDiagnosis(
        encoding=vectors.name,
        num_positions=num_positions,
        num_pairs=vectors.num_pairs,
        is_relative=is_relative,
        rank=alike.rank(vectors, num_positions),
        collisions=alike.collisions(vectors, similarity, num_positions),
        recurrence_lag=alike.recurrence_lag(similarity),
        recurrences=alike.recurrences(similarity) if words is not None and is_relative else [],
        at_offsets=alike.at_offsets(vectors, num_positions),
        distance_ratios=alike.distance_ratios(vectors, num_positions),
        flatness=spectrum.vector_flatness(vectors, num_positions),
        white_noise_flatness=spectrum.WHITE_NOISE_FLATNESS,
        entropy=spectrum.published_entropy(vectors, num_positions),
        largest_entropy=spectrum.largest_entropy(num_positions),
        gaps=None if words is None else uniformity.gaps(words),
        discrepancy=None if words is None else uniformity.scaled_discrepancy(words),
        approximation=uniformity.approximation(words) if words is not None and is_relative else None,
        float32_error=None if words is None or rate is None else uniformity.float32_error(words, rate),
    )
