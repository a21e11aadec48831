from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trainables.layers import order_parameters as order

STATISTICS = {
    "oscillators": order.over_oscillators,
    "positions": order.over_positions,
    "pooled": order.pooled,
    "head_averaged": order.head_averaged,
}


def uniform(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(*shape, generator=draw, dtype=torch.float64) - 1) * math.pi


@pytest.mark.parametrize("name", STATISTICS)
def test_equal_phases_have_order_one(name: str) -> None:
    values = STATISTICS[name](torch.full((2, 3, 4, 6), 1.3, dtype=torch.float64))
    torch.testing.assert_close(values, torch.ones_like(values))


def test_antipodal_phases_have_order_zero_and_no_gradient() -> None:
    phase_BHNT = torch.zeros(1, 1, 4, 1, dtype=torch.float64)
    phase_BHNT[:, :, ::2] = math.pi
    phase_BHNT.requires_grad_()
    value_H = order.over_oscillators(phase_BHNT)
    assert float(value_H.detach()) < 1e-15
    value_H.sum().backward()
    assert phase_BHNT.grad is not None
    assert phase_BHNT.grad.isfinite().all()


def test_each_statistic_averages_over_its_own_axis() -> None:
    phase_BHNT = uniform(2, 3, 4, 5)
    unit = torch.polar(torch.ones_like(phase_BHNT), phase_BHNT)
    torch.testing.assert_close(order.over_oscillators(phase_BHNT), unit.mean(2).abs().mean((0, 2)))
    torch.testing.assert_close(order.over_positions(phase_BHNT), unit.mean(3).abs().mean((0, 2)))
    torch.testing.assert_close(order.pooled(phase_BHNT), unit.mean((2, 3)).abs().mean(0))
    mean_angle_BNT = phase_BHNT.mean(1)
    published = torch.polar(torch.ones_like(mean_angle_BNT), mean_angle_BNT).mean(1).abs().mean()
    torch.testing.assert_close(order.head_averaged(phase_BHNT), published)


@pytest.mark.parametrize("count", [2, 8, 32])
def test_mean_square_of_independent_phases_is_one_over_n(count: int) -> None:
    squares = order.resultant(uniform(100_000, count), 1).square()
    error = float(squares.std()) / math.sqrt(len(squares))
    assert abs(float(squares.mean()) - 1 / count) < 4 * error


def test_expected_resultant_is_exact_for_one_and_two() -> None:
    assert order.expected_resultant(1) == 1.0
    assert order.expected_resultant(2) == pytest.approx(2 / math.pi, abs=1e-6)


@pytest.mark.parametrize("count", [3, 8, 32, 64, 2048])
def test_expected_resultant_agrees_with_simulation(count: int) -> None:
    draws = order.resultant(uniform(2_000_000 // count, count, seed=count), 1)
    error = float(draws.std()) / math.sqrt(len(draws))
    assert abs(float(draws.mean()) - order.expected_resultant(count)) < 4 * error


def test_expected_resultant_tends_to_its_limit() -> None:
    assert order.expected_resultant(4096) == pytest.approx(math.sqrt(math.pi / 4 / 4096), rel=1e-4)


def test_published_statistic_calls_noise_synchronised() -> None:
    draws = order.resultant(uniform(5000, 12, 32).mean(1), 1)
    assert float(draws.mean()) == pytest.approx(0.875, abs=0.002)
    assert float(draws.std()) == pytest.approx(0.029, abs=0.001)
    assert order.expected_head_averaged(12, 32) == pytest.approx(0.875, abs=0.001)


def test_measured_noise_equals_its_nulls() -> None:
    measured = order.measure(uniform(1024, 4, 16, 24))
    for name in ("oscillators", "positions", "pooled", "published"):
        value, null = float(measured[f"order_{name}"].mean()), float(measured[f"order_{name}_null"])
        assert value == pytest.approx(null, rel=0.03), name
