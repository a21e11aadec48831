"""How alike the vectors of two positions are: collisions, recurrence, preservation of distance, rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.diagnostics.vectors import Positions, PositionVectors, Similarity

COLLISION = 0.99
"""Two positions collide if their similarity is above this."""
RECURRENCE = 1 - 1e-6
"""Similarity above which a lag counts as a return to the start."""
PUBLISHED_OFFSETS = (100, 1000, 5000, 10000, 20000, 50000)
"""Offsets of the published collision metric."""
FAR = 1000
"""Lags from here on are far: there a model should not mistake one position for another."""
SAMPLED_PAIRS = 2**15
"""Pairs of positions that are looked at where the similarity depends on more than the lag."""
SAMPLED_POSITIONS = 4096
"""Positions, evenly spaced, that are looked at there."""
DISTANCE_PAIRS = ((1, 2), (10, 20), (100, 200), (1000, 2000))
"""Published pairs (a, b) of lags whose distances are compared."""
MOST_RANK_ROWS = 2048


@dataclass(frozen=True)
class OffsetSimilarity:
    """The similarity of positions that are `offset` apart."""

    offset: int
    mean: float
    std: float
    """Over positions; 0 if only the lag matters."""
    low: float
    high: float


@dataclass(frozen=True)
class Collisions:
    """Which positions an encoding confuses."""

    rate: float
    """Share of all pairs of different positions whose similarity is above `COLLISION`."""
    num_pairs: int
    """Pairs that were looked at."""
    is_sampled: bool
    """Whether those were drawn, instead of all there are."""
    far_similarity: float | None
    """The highest similarity of two positions at least `FAR` apart, on average over positions; None if there are
    none."""
    far_lag: int | None
    """The lag that has it."""


@dataclass(frozen=True)
class Recurrence:
    """A lag at which positions are more alike than at any smaller one."""

    lag: int
    similarity: float


@dataclass(frozen=True)
class DistanceRatio:
    """The distance at lag `far` over that at lag `near`."""

    near: int
    far: int
    mean: float
    std: float
    """Over positions; the published measure of consistency."""


def mean_similarity(vectors: PositionVectors, num_positions: int) -> Similarity:
    """Return the similarity at lags 0, 1, …, on average over the first N positions.

    Where it depends on the lag only, that is the closed form for all N lags; elsewhere the autocorrelation, in
    O(N log N), for lags below N/2, so that each is a mean over N/2 positions at least.
    """
    positions = np.arange(num_positions)
    if vectors.by_lag is not None:
        return vectors.by_lag(positions)
    norms = np.zeros(num_positions)
    for index in range(vectors.num_pairs):
        norms += np.abs(vectors.pair(index, positions)) ** 2
    size = 2 * num_positions  # padded, so that the correlation does not wrap around
    power = np.zeros(size)
    for index in range(vectors.num_pairs):
        unit = vectors.pair(index, positions) / np.sqrt(norms)
        power += np.abs(np.fft.fft(unit, size)) ** 2
    num_lags = (num_positions + 1) // 2
    similarity: Similarity = np.fft.ifft(power).real[:num_lags] / (num_positions - np.arange(num_lags))
    return similarity


def collisions(vectors: PositionVectors, similarity: Similarity, num_positions: int, seed: int = 0) -> Collisions:
    """Count the positions that collide.

    Args:
        vectors: The encoding.
        similarity: Its `mean_similarity`.
        num_positions: Over so many positions.
        seed: Of the pairs that are drawn where the similarity depends on more than the lag.
    """
    far = similarity[FAR:]
    found = (float(far.max()), FAR + int(far.argmax())) if len(far) else (None, None)
    if vectors.by_lag is not None:
        pairs_by_lag = np.arange(num_positions - 1, 0, -1)
        num_pairs = num_positions * (num_positions - 1) // 2
        rate = int(pairs_by_lag[similarity[1:] > COLLISION].sum()) / num_pairs
        return Collisions(rate, num_pairs, False, *found)
    draw = np.random.default_rng(seed)
    left, lag = draw.integers(0, num_positions, SAMPLED_PAIRS), draw.integers(1, num_positions, SAMPLED_PAIRS)
    rate = float((vectors.between(left, (left + lag) % num_positions) > COLLISION).mean())
    return Collisions(rate, SAMPLED_PAIRS, True, *found)


def at_offsets(
    vectors: PositionVectors, num_positions: int, offsets: Sequence[int] = PUBLISHED_OFFSETS
) -> list[OffsetSimilarity]:
    """Return the similarity of the first N positions with those `offset` later: the published metric."""
    positions = _looked_at(vectors, num_positions)
    found = []
    for offset in offsets:
        here = vectors.between(positions, positions + offset)
        spread = (float(here.mean()), float(here.std()), float(here.min()), float(here.max()))
        found.append(OffsetSimilarity(offset, *spread))
    return found


def _looked_at(vectors: PositionVectors, num_positions: int) -> Positions:
    """Return the positions over which to average: one where all are alike, else evenly spaced ones."""
    if vectors.by_lag is not None:
        return np.array([0])
    spaced: Positions = np.linspace(0, num_positions - 1, min(num_positions, SAMPLED_POSITIONS)).astype(np.int64)
    return spaced


def recurrences(similarity: Similarity) -> list[Recurrence]:
    """Return the lags at which positions are more alike than at any smaller lag but 0.

    For one irrational phase these are the denominators of the best rational approximations of the constant.
    """
    beyond = similarity[1:]
    best = np.maximum.accumulate(beyond)
    is_record = np.append(True, beyond[1:] > best[:-1])
    return [Recurrence(int(index) + 1, float(beyond[index])) for index in np.flatnonzero(is_record)]


def recurrence_lag(similarity: Similarity) -> int | None:
    """Return the first lag at which positions look as they did at the start; None if there is none."""
    found = np.flatnonzero(similarity[1:] > RECURRENCE)
    return int(found[0]) + 1 if len(found) else None


def distance_ratios(
    vectors: PositionVectors, num_positions: int, pairs: Sequence[tuple[int, int]] = DISTANCE_PAIRS
) -> list[DistanceRatio]:
    """Return |p(s + b) - p(s)| / |p(s + a) - p(s)| for pairs (a, b), over positions s; published.

    Empty where vectors do not exist or two of them are equal.
    """
    if not vectors.num_pairs:
        return []
    positions = _looked_at(vectors, num_positions)
    ratios = []
    for near, far in pairs:
        below = _distance(vectors, positions, near)
        if not below.all():
            continue
        ratio = _distance(vectors, positions, far) / below
        ratios.append(DistanceRatio(near, far, float(ratio.mean()), float(ratio.std())))
    return ratios


def _distance(vectors: PositionVectors, positions: Positions, lag: int) -> NDArray[np.float64]:
    total = np.zeros(positions.shape)
    for index in range(vectors.num_pairs):
        total += np.abs(vectors.pair(index, positions + lag) - vectors.pair(index, positions)) ** 2
    distance: NDArray[np.float64] = np.sqrt(total)
    return distance


def rank(vectors: PositionVectors, num_positions: int) -> int | None:
    """Return how many dimensions the vectors of the first positions span; None if there are none."""
    if not vectors.num_pairs:
        return None
    positions = np.arange(min(num_positions, MOST_RANK_ROWS))
    pairs: list[Any] = [vectors.pair(index, positions) for index in range(vectors.num_pairs)]
    columns = np.stack([part for pair in pairs for part in (pair.real, pair.imag)], axis=1)
    return int(np.linalg.matrix_rank(columns))
