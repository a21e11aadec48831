"""The curvature of a memory's trace: closed forms, nulls by simulation, and where it is large."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trainables.architectures.resonant import curvature


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_straight_trace_has_no_curvature_and_a_jump_has_one() -> None:
    line_BTD = torch.arange(10.0)[None, :, None] * torch.tensor([1.0, -2.0])
    assert not curvature.curvature(line_BTD).any()
    line_BTD[:, 5:] += torch.tensor([3.0, 4.0])
    kappa_BU = curvature.curvature(line_BTD)
    assert kappa_BU[0].tolist() == [0, 0, 0, 5, 5, 0, 0, 0]


def test_curvature_of_noise_is_flat() -> None:
    kappa_BU = curvature.curvature(draw(8, 400, 512))
    assert float(kappa_BU.mean()) == pytest.approx(math.sqrt(6 * 512), rel=0.01)


def memory(x_BTD: Tensor, decay: float) -> Tensor:
    """Return the trace of m_t = decay · m_{t−1} + x_t."""
    states, state_BD = [], torch.zeros_like(x_BTD[:, 0])
    for x_BD in x_BTD.unbind(1):
        state_BD = decay * state_BD + x_BD
        states.append(state_BD)
    return torch.stack(states, 1)


@pytest.mark.parametrize("decay", [0.0, 0.85])
def test_curvature_entropy_of_noise_is_the_null(decay: float) -> None:
    null = curvature.curvature_entropy_null(398, 64)
    values = [
        curvature.curvature_entropy(curvature.curvature(memory(draw(8, 400, 64, seed=s), decay))) for s in range(4)
    ]
    assert 1 - float(torch.stack(values).mean()) == pytest.approx(1 - null, rel=0.1)
    assert curvature.curvature_entropy_null(532, 133) == pytest.approx(0.9997, abs=1e-5)


def test_curvature_entropy_goes_from_a_peak_to_uniform() -> None:
    assert float(curvature.curvature_entropy(torch.full((2, 50), 3.0))) == pytest.approx(1)
    peak_BU = torch.zeros(1, 50)
    peak_BU[0, 7] = 2
    assert float(curvature.curvature_entropy(peak_BU)) == 0


# --- at the needle ---


def test_the_needle_is_where_the_answer_was_read_first() -> None:
    tokens_BT = torch.tensor(
        [[9, 1, 2, 3, 9, 7, 1, 2, 3], [1, 2, 1, 2, 8, 7, 2, 1, 2], [4, 4, 4, 5, 6, 0, 4, 5, 6]]
    )
    assert curvature.needle_starts(tokens_BT, 3).tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("peak", "where"),
    [
        (35, "peak_before"),
        (36, "peak_near"),
        (44, "peak_near"),
        (45, "peak_after"),
        (90, "peak_after"),
        (91, "peak_far_after"),
    ],
)
def test_a_peak_is_in_one_range_around_the_needle(peak: int, where: str) -> None:
    kappa_BU = torch.ones(1, 98)
    kappa_BU[0, peak - 1] = 3.0  # entry u belongs to position u + 1
    found = curvature.at_needle(kappa_BU, torch.tensor([40]))
    ranges = {name for name, value_B in found.items() if name.startswith("peak_") and float(value_B) == 1.0}
    assert ranges == {where}
    assert float(found["peak_distance"]) == abs(peak - 40)
    assert float(found["height"]) == (where == "peak_near")
    assert float(found["share_before"]) == pytest.approx((39 + 2 * (peak < 40)) / 100)


def test_nothing_stands_out_of_a_constant_curvature() -> None:
    for kappa_BU in (torch.zeros(2, 30), torch.ones(2, 30)):
        found = curvature.at_needle(kappa_BU, torch.tensor([5, 20]))
        assert not found["height"].any()
        assert all(bool(value_B.isfinite().all()) for value_B in found.values())


def test_traces_that_do_not_know_their_needle_are_at_the_null() -> None:
    """Also where needles are not everywhere, as published: only in the middle of the context."""
    size, start_B = 400, torch.randint(30, 70, (400,), generator=torch.Generator().manual_seed(1))
    kappa_BU = curvature.curvature(draw(size, 130, 6))
    found, null = curvature.at_needle(kappa_BU, start_B), curvature.at_needle_null(kappa_BU, start_B)
    assert found.keys() == null.keys()
    for name, value_B in found.items():
        error = float(value_B.std()) / math.sqrt(size)
        assert abs(float(value_B.mean()) - float(null[name])) < 4 * error, name
    knowing_BU = kappa_BU.scatter(1, start_B[:, None], 50.0)
    assert float(curvature.at_needle(knowing_BU, start_B)["peak_near"].mean()) == 1
    assert float(curvature.at_needle_null(knowing_BU, start_B)["peak_near"]) == pytest.approx(9 / 40, abs=0.03)
