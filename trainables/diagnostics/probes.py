"""What every model with an encoding in closed form reports of it, as probes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from trainables.diagnostics import similarity as alike
from trainables.diagnostics import spectrum, uniformity
from trainables.diagnostics.closed_forms import has_closed_form, vectors_of
from trainables.layers.encodings.fields import EncodingConfig
from trainables.metric import probe

PROBED_POSITIONS = 10_000
"""As many as the published diagnostics look at."""

PROBES = (
    probe(
        "collision_rate",
        "share",
        f"pairs of the first {PROBED_POSITIONS:,} positions whose vectors have a cosine above {alike.COLLISION:g}",
        exact=True,
    ),
    probe(
        "far_similarity",
        "cosine",
        f"the highest mean cosine of positions at least {alike.FAR:,} apart",
        exact=True,
    ),
    probe(
        "recurrence_lag",
        "tokens",
        "first distance at which positions are the same within a millionth of a cosine; absent if there is none",
        exact=True,
    ),
    probe(
        "spectral_flatness",
        "1",
        "flatness of the spectrum over positions, mean over pairs of channels; a pure tone has almost 0",
        null="spectral_flatness_null",
        exact=True,
    ),
    probe("spectral_flatness_null", "1", "the same of white noise: e to the minus Euler's constant", exact=True),
    probe(
        "phase_discrepancy",
        "1",
        "N·D*/ln N of the phases: how unevenly they fill the circle; absent if there are several phases",
        exact=True,
    ),
)


@lru_cache(maxsize=32)
def _measured(encoding: EncodingConfig, width: int) -> tuple[tuple[str, float], ...]:
    vectors = vectors_of(encoding, width)
    similarity = alike.mean_similarity(vectors, PROBED_POSITIONS)
    collisions = alike.collisions(vectors, similarity, PROBED_POSITIONS)
    found: dict[str, float | None] = {
        "collision_rate": collisions.rate,
        "far_similarity": collisions.far_similarity,
        "recurrence_lag": alike.recurrence_lag(similarity),
        "spectral_flatness": spectrum.vector_flatness(vectors, PROBED_POSITIONS),
        "spectral_flatness_null": spectrum.WHITE_NOISE_FLATNESS,
    }
    if vectors.words is not None:
        words = vectors.words(np.arange(1, PROBED_POSITIONS + 1))
        found["phase_discrepancy"] = uniformity.scaled_discrepancy(words)
    if found["spectral_flatness"] is None:
        del found["spectral_flatness_null"]
    return tuple((name, float(value)) for name, value in found.items() if value is not None)


def encoding_probes(encoding: EncodingConfig, width: int) -> dict[str, float]:
    """Return the probes of an encoding, empty if it has no closed form; the first call takes up to some seconds.

    Args:
        encoding: The encoding; a learned transition is taken where it starts.
        width: Channels of a head; of an odd number the last does not count, because it is in no pair.
    """
    if not has_closed_form(encoding):
        return {}
    return {f"probe/{name}": value for name, value in _measured(encoding, max(2, width - width % 2))}
