"""Phases are exact at any position, and the published ones are found again, wrong digits included."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.irrational import CONSTANTS, fractional_turns
from trainables.layers.encodings.fields import EncodingConfig
from trainables.layers.encodings.phases import (
    PRNG_TABLE_LENGTH,
    PairPhases,
    hashed,
    published_table,
    to_float,
    turns,
)


def distance(one: float, other: float) -> float:
    """Return how far two phases are apart, in turns."""
    return abs((one - other + 0.5) % 1 - 0.5)


@given(st.sampled_from(sorted(CONSTANTS)), st.integers(0, 10**8))
def test_phases_are_exact(constant: str, position: int) -> None:
    found = float(turns(torch.tensor(position), constant))
    assert 0 <= found < 1
    assert distance(found, fractional_turns(constant, position)) <= 2**-53 + position * 2**-65


def test_float32_is_off_by_a_fifth_of_a_turn_near_a_million_positions() -> None:
    position_T = torch.arange(999_000, 1_000_000)
    exact, single = (
        PairPhases(EncodingConfig(scheme="spiral", phase_precision=precision), 1)(position_T).double()
        for precision in ("exact", "float32")
    )
    error_T1 = torch.remainder(single - exact + math.pi, 2 * math.pi) - math.pi
    assert float(error_T1.abs().max()) / (2 * math.pi) == pytest.approx(0.21, abs=0.005)
    assert single.unique().numel() == 4
    right = [2 * math.pi * fractional_turns("pi", n) for n in range(999_000, 1_000_000)]
    torch.testing.assert_close(exact.flatten(), torch.tensor(right, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("constant", ["prng_table", "prng_hash"])
def test_random_phases_are_uniform_and_belong_to_positions(constant: str) -> None:
    phases = PairPhases(EncodingConfig(scheme="spiral", constant=constant), 4)
    position_T = torch.arange(4096)
    phase_T = phases(position_T).flatten()
    assert torch.equal(phases(position_T[1000:1003]).flatten(), phase_T[1000:1003])
    counts = torch.histc(phase_T, bins=16, min=0, max=2 * math.pi)
    assert float(((counts - 256) ** 2 / 256).sum()) < 37.7, "χ² with 15 degrees of freedom, p = .001"
    spectrum = np.abs(np.fft.fft(np.exp(1j * phase_T.numpy()))) ** 2
    flatness = np.exp(np.log(spectrum).mean()) / spectrum.mean()
    assert flatness == pytest.approx(math.exp(-0.5772156649), abs=0.03)


def test_positions_beyond_the_table_are_hashed() -> None:
    phases = PairPhases(EncodingConfig(scheme="spiral", constant="prng_table"), 1)
    position_T = torch.tensor([PRNG_TABLE_LENGTH - 1, PRNG_TABLE_LENGTH, 10**9])
    found = phases(position_T).flatten() / (2 * math.pi)
    last = to_float(torch.tensor(published_table()[-1:]))
    torch.testing.assert_close(found, torch.cat((last, to_float(hashed(position_T[1:])))))


def test_the_table_is_the_stream_of_pytorchs_generator() -> None:
    drawn = torch.rand(64, dtype=torch.float64, generator=torch.Generator().manual_seed(42))
    assert torch.equal(to_float(torch.tensor(published_table()[:64])), drawn)


def test_multiples_turn_pair_k_k_times_as_fast() -> None:
    position_T = torch.arange(50)
    for constant in ("e", "prng_hash"):
        one = PairPhases(EncodingConfig(scheme="spiral", constant=constant), 4)(position_T)
        many = PairPhases(EncodingConfig(scheme="spiral", constant=constant, rates="multiples"), 4)(position_T)
        assert one.shape == (50, 1)
        expected = torch.remainder(one * torch.arange(1, 5), 2 * math.pi)
        torch.testing.assert_close((many - expected).sin(), torch.zeros(50, 4).double(), rtol=0, atol=1e-12)


def test_many_constants_are_roots_of_primes() -> None:
    phases = PairPhases(EncodingConfig(scheme="spiral", constant="multi"), 3)(torch.arange(100))
    expected = 2 * math.pi * (torch.arange(100).double()[:, None] * torch.tensor([2.0, 3.0, 5.0]).double().sqrt())
    torch.testing.assert_close((phases - expected).sin(), torch.zeros(100, 3).double(), rtol=0, atol=1e-9)


def test_halving_the_precision_of_a_model_leaves_phases_alone() -> None:
    phases = PairPhases(EncodingConfig(scheme="spiral", constant="multi"), 3)
    before = phases(torch.arange(10))
    assert torch.equal(phases.half()(torch.arange(10)), before)
