"""The vectors of an encoding in closed form, in float64 and without PyTorch.

The exact counterpart of the layers in `trainables.layers.encodings`, with which tests compare it; names of fields
and defaults are theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from search_spaces.irrational import CONSTANTS, prime_roots
from trainables.diagnostics.vectors import (
    WORD,
    Pairs,
    Positions,
    PositionVectors,
    Similarity,
    Words,
    phases,
    rotations,
)
from trainables.layers.encodings.fields import EncodingConfig

NUM_HEADS = 8
"""Heads with a slope each, of ALiBi."""
PRNG_SEED = 42
PRNG_TABLE_LENGTH = 1 << 17
"""Of the published table of random phases; positions beyond it are hashed."""
YARN_TURNS = (32.0, 1.0)
"""Turns within the trained length from which on YaRN leaves a pair alone, and up to which it divides its rate."""


def has_closed_form(encoding: EncodingConfig) -> bool:
    """Return whether an encoding is vectors in closed form.

    Learned ones are not, nor is a hybrid that is added: that is a rotation and a vector.
    """
    return encoding.scheme != "learned" and not (encoding.is_hybrid and encoding.applied == "added")


def vectors_of(
    encoding: EncodingConfig, width: int, *, name: str = "", trained_length: int = 4096
) -> PositionVectors:
    """Return the vectors of an encoding.

    Args:
        encoding: The encoding; a learned transition is taken at its initial value.
        width: Channels of a vector, or of the part of a head that is rotated.
        name: Shown beside what is found; the scheme's unless given.
        trained_length: Positions that the weights are trained on, for YaRN; `encoding.trained_length` takes
            precedence.

    Raises:
        ValueError: If the width is odd or too small, or the encoding has no closed form.
    """
    least = 4 if encoding.scheme == "ntk" else 2  # the base of a single pair cannot slow it down
    if width % 2 or width < least:
        raise ValueError(f"the width of {encoding.scheme} is even and at least {least}, got {width}")
    shown = name or encoding.scheme
    if not has_closed_form(encoding):
        raise ValueError(f"scheme={encoding.scheme}, applied={encoding.applied} has no closed form")
    if encoding.scheme == "alibi":
        return alibi(shown)
    if encoding.scheme == "none":
        return rotations(shown, np.zeros(width // 2))
    if encoding.scheme == "spiral":
        return spiral(encoding, width // 2, shown)
    rates = rotary_rates(encoding, width, encoding.trained_length or trained_length)
    if encoding.is_hybrid:
        return hybrid(encoding, rates, shown)
    return rotations(shown, rates)


def rotary_rates(encoding: EncodingConfig, width: int, trained_length: int) -> NDArray[np.float64]:
    """Return the angle in radians by which each pair turns from one position to the next.

    Source:
        RoPE: Su et al. (2021), "RoFormer". YaRN: Peng et al. (2023), "YaRN: efficient context window extension",
        section 3.2.
    """
    base = ntk_base(encoding.base, encoding.scale, width) if encoding.scheme == "ntk" else encoding.base
    pair = np.arange(width // 2)
    rates: NDArray[np.float64] = base ** (-2 * pair / width)
    if encoding.scheme == "linear":
        return rates / encoding.scale
    if encoding.scheme != "yarn":
        return rates
    low, high = (
        width * math.log(trained_length / (turns * 2 * math.pi)) / (2 * math.log(base)) for turns in YARN_TURNS
    )
    first, last = max(math.floor(low), 0), min(math.ceil(high), width - 1)
    divided = np.clip((pair - first) / max(last - first, 1e-3), 0, 1)
    stretched: NDArray[np.float64] = rates * (1 - divided) + rates / encoding.scale * divided
    return stretched


def ntk_base(base: float, scale: float, width: int) -> float:
    """Return the base that makes the slowest pair `scale` times slower and leaves the fastest: base·s^{d/(d-2)}."""
    return float(base * scale ** (width / (width - 2)))


def alibi_slopes(num_heads: int) -> list[float]:
    """Return the slope of each head's bias, in nats a token.

    Source:
        Press et al. (2021), "Train short, test long", and its code for numbers of heads that are no power of 2.
    """
    below = 2 ** int(math.log2(num_heads))
    slopes = [2.0 ** (-8 * head / below) for head in range(1, below + 1)]
    return (slopes + [2.0 ** (-4 * head / below) for head in range(1, 2 * below, 2)])[:num_heads]


def alibi(name: str, num_heads: int = NUM_HEADS) -> PositionVectors:
    """Return ALiBi, which has no vectors: the weight of a token relative to the nearest, the mean over heads."""

    def by_lag(lags: Positions) -> Similarity:
        weights: Similarity = np.mean([np.exp(-slope * lags) for slope in alibi_slopes(num_heads)], axis=0)
        return weights

    def no_pair(index: int, positions: Positions) -> Pairs:
        raise ValueError("a bias has no vectors")

    return PositionVectors(name=name, num_pairs=0, pair=no_pair, by_lag=by_lag)


def spiral(encoding: EncodingConfig, num_pairs: int, name: str) -> PositionVectors:
    """Return a spiral: all pairs with the same phase, or each with its own."""
    if encoding.constant in ("prng_table", "prng_hash"):
        drawn = random_words if encoding.constant == "prng_hash" else table_words
        count = num_pairs if encoding.rates == "multiples" else 1
        return phases(name, [_times(drawn, k) for k in range(1, count + 1)])
    if encoding.constant == "multi":
        turns: Sequence[Fraction] = prime_roots(num_pairs)
    else:
        count = num_pairs if encoding.rates == "multiples" else 1
        turns = [CONSTANTS[encoding.constant].value * k for k in range(1, count + 1)]
    if encoding.phase_precision == "float32":
        return phases(name, [float32_multiples(float(rate)) for rate in turns])
    return phases(name, [multiples(rate) for rate in turns], turns_a_position=[float(rate) for rate in turns])


def multiples(turns: Fraction) -> Callable[[Positions], Words]:
    """Return the phases n·c, exact to 2^-64 of a turn times the position."""
    multiplier = np.uint64(round(turns % 1 * 2**64) % 2**64)
    return lambda positions: positions.astype(np.uint64) * multiplier  # modulo 2^64, which is modulo a turn


def float32_multiples(turns: float) -> Callable[[Positions], Words]:
    """Return the phases n·c as published, in float32: wrong at far positions."""

    def words(positions: Positions) -> Words:
        product = positions.astype(np.float32) * np.float32(turns)
        return (np.mod(product, np.float32(1)).astype(np.float64) * WORD).astype(np.uint64)

    return words


def random_words(positions: Positions) -> Words:
    """Return a random phase for each position, a hash of it.

    Source:
        Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators" (SplitMix64).
    """
    mixed = (positions.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def table_words(positions: Positions) -> Words:
    """Return the phases of the published table: PyTorch's doubles of seed 42, then hashes."""
    drawn = np.random.RandomState(PRNG_SEED).randint(0, 1 << 32, size=(PRNG_TABLE_LENGTH, 2), dtype=np.uint32)
    high, low = drawn.astype(np.uint64).T
    table = (high << np.uint64(32) | low) << np.uint64(11)  # the 53 bits of a double
    inside = positions < PRNG_TABLE_LENGTH
    return np.where(inside, table[np.where(inside, positions, 0)], random_words(positions))


def _times(words: Callable[[Positions], Words], factor: int) -> Callable[[Positions], Words]:
    return lambda positions: words(positions) * np.uint64(factor)


def hybrid(encoding: EncodingConfig, rates: NDArray[np.float64], name: str) -> PositionVectors:
    """Return (1 - w)·RoPE + w·spiral with the share w = σ((n - K) / width) at position n: it is not relative."""
    far = spiral(encoding, len(rates), name)

    def pair(index: int, positions: Positions) -> Pairs:
        steps = np.clip((positions - encoding.transition) / encoding.width, -700, 700)
        share = 1 / (1 + np.exp(-steps))
        spiral_pair = far.pair(min(index, far.num_pairs - 1), positions)
        mixed: Pairs = (1 - share) * np.exp(1j * rates[index] * positions) + share * spiral_pair
        return mixed

    return PositionVectors(name=name, num_pairs=len(rates), pair=pair, by_lag=None)


def _spiral_of(constant: str) -> EncodingConfig:
    return EncodingConfig.model_validate({"scheme": "spiral", "constant": constant})


ENCODINGS: dict[str, EncodingConfig] = {
    **{name: _spiral_of(name) for name in (*CONSTANTS, "prng_table", "prng_hash", "multi")},
    "pi_float32": EncodingConfig(scheme="spiral", phase_precision="float32"),
    "rope": EncodingConfig(),
    "ntk": EncodingConfig(scheme="ntk", scale=8.0),
    "linear": EncodingConfig(scheme="linear", scale=8.0),
    "yarn": EncodingConfig(scheme="yarn", scale=8.0),
    "hybrid": EncodingConfig(scheme="hybrid"),
    "sinusoidal": EncodingConfig(scheme="sinusoidal"),
    "alibi": EncodingConfig(scheme="alibi"),
    "none": EncodingConfig(scheme="none"),
}
"""What can be diagnosed by name: the spiral by its constant, and what it is compared with."""
