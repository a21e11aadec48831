"""The closed forms of the spiral's vector."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from trainables.layers.encodings.added import SpiralVector
from trainables.layers.encodings.fields import EncodingConfig
from trainables.layers.encodings.phases import turns


def spiral(constant: str, width: int = 16) -> SpiralVector:
    return SpiralVector(EncodingConfig(scheme="spiral", applied="added", constant=constant), width)


@pytest.mark.parametrize("constant", ["pi", "e", "sqrt2", "golden", "22/7"])
def test_cosine_between_positions_depends_on_the_distance_alone(constant: str) -> None:
    e_TD = spiral(constant)(torch.arange(20_000), torch.float64)
    for offset in (1, 7, 113, 1000, 10_000):
        found_T = cosine_similarity(e_TD[offset:], e_TD[:-offset])
        expected = math.cos(2 * math.pi * float(turns(torch.tensor(offset), constant)))
        assert float((found_T - expected).abs().max()) < 1e-12


@pytest.mark.parametrize(("offset", "cosine"), [(7, 0.9985), (1000, -0.835), (5000, 0.973), (10_000, 0.895)])
def test_published_offsets_of_pi(offset: int, cosine: float) -> None:
    e_TD = spiral("pi")(torch.tensor([3, 3 + offset]), torch.float64)
    assert float(cosine_similarity(e_TD[0], e_TD[1], dim=0)) == pytest.approx(cosine, abs=5e-4)


def test_one_constant_spans_a_plane_and_many_do_not() -> None:
    position_T = torch.arange(500)
    assert torch.linalg.matrix_rank(spiral("pi")(position_T, torch.float64)) == 2
    assert torch.linalg.matrix_rank(spiral("multi")(position_T, torch.float64)) == 16


def test_channels_alternate_cosine_and_sine_of_one_phase() -> None:
    e_TD = spiral("e", width=5)(torch.arange(9))
    assert e_TD.shape == (9, 5)
    assert torch.equal(e_TD[:, 0], e_TD[:, 4])
    torch.testing.assert_close(e_TD[:, 0] ** 2 + e_TD[:, 1] ** 2, torch.ones(9))
