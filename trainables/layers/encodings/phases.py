"""Phases of positions, exact at any of them.

A phase is a fraction of a turn and is held as a 64-bit integer, the fraction times 2^64. Multiplying by a position
wraps around modulo 2^64, which is modulo a whole turn: no digit is lost, as it would be in float32, where near
a million positions a phase of π turns a position is off by up to a fifth of a turn.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.irrational import CONSTANTS, prime_roots
from trainables.layers.encodings.fields import EncodingConfig

TURN = 1 << 64
MANTISSA_BITS = 53
"""Of float64; the lower bits of an integer phase are cut off, so that a fraction stays below 1."""
PRNG_SEED = 42
"""Of the table of random phases. Source: pie-spiral f4f10cd."""
PRNG_TABLE_LENGTH = 1 << 17
"""Positions that the table covers; the published one has 100,000."""


def _signed(number: int) -> int:
    """Return the 64-bit pattern of `number` as a signed integer."""
    number %= TURN
    return number - TURN if number >= TURN // 2 else number


def integer_turns(turns: Fraction) -> int:
    """Return the fraction of a turn in `turns`, times 2^64, as a signed 64-bit integer."""
    return _signed(round(turns % 1 * TURN))


def to_float(phase_x: Tensor) -> Tensor:
    """Return integer phases as turns in [0, 1), float64."""
    unsigned_x = (phase_x >> (64 - MANTISSA_BITS)) & ((1 << MANTISSA_BITS) - 1)
    return unsigned_x.to(torch.float64) * 2.0**-MANTISSA_BITS


def hashed(position_x: Tensor) -> Tensor:
    """Return a random integer phase for each position: the same wherever and whenever it is asked for.

    Source:
        Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators" (SplitMix64).
    """
    z_x = (position_x + 1) * _signed(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z_x = (z_x ^ _shifted(z_x, shift)) * _signed(factor)
    return z_x ^ _shifted(z_x, 31)


def _shifted(z_x: Tensor, bits: int) -> Tensor:
    """Shift right, filling with zeros: PyTorch's own shift repeats the sign."""
    return (z_x >> bits) & ((1 << (64 - bits)) - 1)


@functools.cache
def published_table() -> np.ndarray:
    """Return the published table of random phases, as integers: doubles of PyTorch's generator seeded with 42.

    NumPy has the same generator (MT19937), and numbers of its own are never replaced by those without values that
    PyTorch uses to measure memory.
    """
    words = np.random.RandomState(PRNG_SEED).randint(0, 1 << 32, size=(PRNG_TABLE_LENGTH, 2), dtype=np.uint32)
    words = words.astype(np.uint64)
    return ((words[:, 0] << np.uint64(32) | words[:, 1]) << np.uint64(64 - MANTISSA_BITS)).view(np.int64)


def turns(position_x: Tensor, constant: str) -> Tensor:
    """Return frac(n·c) in [0, 1) turns, float64, at integer positions n.

    Args:
        position_x: Positions, int64, of any shape, 0 or more.
        constant: A name of `search_spaces.irrational.CONSTANTS`.
    """
    return to_float(position_x * integer_turns(CONSTANTS[constant].value))


class PairPhases(nn.Module):
    """The phases of a spiral at given positions, one for each pair of channels or one for all.

    Random phases (`prng_table`) beyond the table's 131,072 positions are those of `prng_hash`.

    Args:
        encoding: Constant, rates and precision.
        num_pairs: Pairs of channels.
    """

    step_P: Tensor
    """Turns a position of each pair, as integers, which `.half()` and `.double()` leave alone."""
    table_N: Tensor
    """The table of random phases; empty for other constants."""

    def __init__(self, encoding: EncodingConfig, num_pairs: int) -> None:
        super().__init__()
        self.constant, self.in_float32 = encoding.constant, encoding.phase_precision == "float32"
        if encoding.constant == "multi":
            rates = prime_roots(num_pairs)
        else:
            of_first = Fraction(0) if self.is_random else CONSTANTS[encoding.constant].value
            num_rates = num_pairs if encoding.rates == "multiples" else 1
            rates = tuple(of_first * pair for pair in range(1, num_rates + 1))
        self.num_rates = len(rates)
        self.register_buffer("step_P", torch.tensor([integer_turns(rate) for rate in rates]), persistent=False)
        self.rate_P = [float(rate) for rate in rates]
        table = published_table() if encoding.constant == "prng_table" else np.zeros(0, dtype=np.int64)
        self.register_buffer("table_N", torch.tensor(table), persistent=False)

    def forward(self, position_x: Tensor) -> Tensor:
        """Return phases in [0, 2π) radians: (..., P), or (..., 1) if all pairs have one; float64, or float32 ones.

        Args:
            position_x: Positions, int64, of any shape, 0 or more.
        """
        if self.in_float32 and not self.is_random:
            rate_P = torch.tensor(self.rate_P, dtype=torch.float32, device=position_x.device)
            return 2 * math.pi * (position_x.unsqueeze(-1).to(torch.float32) * rate_P).frac()
        if self.is_random:
            multiple_P = torch.arange(1, self.num_rates + 1, device=position_x.device)
            phase_xP = self._random(position_x).unsqueeze(-1) * multiple_P
        else:
            phase_xP = position_x.unsqueeze(-1) * self.step_P
        return 2 * math.pi * to_float(phase_xP)

    @property
    def is_random(self) -> bool:
        """Whether phases are drawn, not computed."""
        return self.constant in ("prng_table", "prng_hash")

    def _random(self, position_x: Tensor) -> Tensor:
        found_x = hashed(position_x)
        if self.constant == "prng_table":
            inside_x = position_x < PRNG_TABLE_LENGTH
            drawn_x = self.table_N[position_x.clamp(max=PRNG_TABLE_LENGTH - 1)]
            found_x = torch.where(inside_x, drawn_x, found_x)
        return found_x
