"""The spectrum of an encoding over positions: how evenly its power is spread over frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.diagnostics.vectors import PositionVectors

WHITE_NOISE_FLATNESS = float(np.exp(-np.euler_gamma))
"""Flatness of a raw periodogram of complex white noise: its ordinates are exponential, so e^-γ = .5615, not 1."""
PUBLISHED_SERIES = 8
"""Dimensions of a vector that the published entropy looks at: four pairs."""

MOST_PAIRS = 8
"""Pairs, evenly spaced among all, over which the flatness of a vector is averaged."""

Power = NDArray[np.float64]


def periodogram(series: NDArray[Any]) -> Power:
    """Return the squared magnitudes of the Fourier transform; the frequencies are those of `numpy.fft.fft`."""
    power: Power = np.abs(np.fft.fft(series)) ** 2
    return power


def flatness(power: Power) -> float:
    """Return the geometric over the arithmetic mean: 1 if all are equal (an impulse), near 0 for a pure tone."""
    mean = float(power.mean())
    if mean == 0 or not power.all():
        return 0.0
    return float(np.exp(np.log(power).mean())) / mean


def vector_flatness(vectors: PositionVectors, num_positions: int) -> float | None:
    """Return the flatness over the first N positions, the mean over some pairs; None without vectors."""
    if not vectors.num_pairs:
        return None
    positions = np.arange(num_positions)
    chosen = np.linspace(0, vectors.num_pairs - 1, min(vectors.num_pairs, MOST_PAIRS)).astype(int).tolist()
    return float(np.mean([flatness(periodogram(vectors.pair(index, positions))) for index in chosen]))


def published_entropy(vectors: PositionVectors, num_positions: int) -> float | None:
    """Return the entropy of the magnitudes at positive frequencies, in nats, over the first eight dimensions.

    Its largest value is `largest_entropy`. Magnitudes, not powers, as in the published diagnostics.
    """
    if not vectors.num_pairs:
        return None
    positions = np.arange(num_positions)
    pairs = [vectors.pair(index, positions) for index in range(min(vectors.num_pairs, PUBLISHED_SERIES // 2))]
    return float(np.mean([_entropy(part) for pair in pairs for part in (pair.real, pair.imag)]))


def largest_entropy(num_positions: int) -> float:
    """Return the entropy of a spectrum that is the same at all positive frequencies, in nats."""
    return float(np.log(num_positions // 2))


def _entropy(series: NDArray[np.float64]) -> float:
    magnitude = np.abs(np.fft.rfft(series))[1:]
    total = float(magnitude.sum())
    if total == 0:
        return 0.0
    share = magnitude[magnitude > 0] / total
    return float(-(share * np.log(share)).sum())


def binned(power: Power, num_bins: int) -> tuple[Sequence[float], Sequence[float]]:
    """Return frequencies in cycles a position, and the mean power around each as a multiple of that over all."""
    edges = np.linspace(0, len(power), min(num_bins, len(power)) + 1).astype(int)
    means = np.add.reduceat(power, edges[:-1]) / np.diff(edges)
    centres = (edges[:-1] + edges[1:] - 1) / 2 / len(power)
    return centres.tolist(), (means / power.mean()).tolist()
