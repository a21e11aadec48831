"""The resonant family's metrics: their ranges, their nulls by simulation, their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trainables.architectures.resonant import measures


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- phase coherence ---


def test_pairs_are_half_the_width_apart() -> None:
    h_BTD = torch.tensor([[[1.0, 0.0, -2.0, 1.0, 3.0, 0.0]]])
    torch.testing.assert_close(measures.pair_phase(h_BTD)[0, 0], torch.tensor([math.pi / 4, math.pi / 2, math.pi]))
    assert measures.pair_phase(torch.ones(1, 1, 5)).shape == (1, 1, 2)  # an odd channel has no partner


def test_constant_states_are_coherent_and_turning_ones_are_not() -> None:
    constant_BTD = draw(1, 1, 8).expand(2, 40, 8)
    assert float(measures.phase_coherence(constant_BTD)) == pytest.approx(1)
    angle_T = torch.arange(40) * 2 * math.pi / 40
    turning_BTD = torch.stack((angle_T.cos(), angle_T.sin()), dim=1)[None]
    assert float(measures.phase_coherence(turning_BTD)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("num_positions", [2, 16, 100])
def test_noise_has_the_coherence_of_the_null(num_positions: int) -> None:
    values = torch.stack([measures.phase_coherence(draw(50, num_positions, 40, seed=seed)) for seed in range(20)])
    error = float(values.std()) / math.sqrt(len(values))
    null = measures.coherence_null(num_positions)
    assert abs(float(values.mean()) - null) < 4 * error
    assert null == pytest.approx(math.sqrt(math.pi / 4 / num_positions), rel=0.05)


def test_shuffling_whole_positions_is_no_null() -> None:
    """Since the mean over positions has no order: only the members of a pair, apart from each other, make one."""
    h_BTD = draw(2, 30, 8)
    shuffled_BTD = h_BTD[:, torch.randperm(30, generator=generator())]
    torch.testing.assert_close(measures.phase_coherence(shuffled_BTD), measures.phase_coherence(h_BTD))


def test_an_offset_keeps_its_coherence_when_pairs_are_broken_and_a_phase_does_not() -> None:
    """States with a constant part look synchronised by any measure of phases; this is how to see it."""
    offset_BTD = 20 + draw(4, 200, 16)
    assert float(measures.phase_coherence(offset_BTD)) > 0.99
    assert float(measures.shuffled_coherence(offset_BTD, generator())) > 0.99
    # a phase that is 0 or π/2 in step with the time: both members are 0 half of the time, never together
    turned_BT8 = (torch.arange(200) % 2).double()[None, :, None].expand(4, 200, 8)
    phase_BTD = torch.cat((1 - turned_BT8, turned_BT8), dim=-1)
    assert float(measures.phase_coherence(phase_BTD)) == pytest.approx(math.sqrt(0.5))
    broken = float(measures.shuffled_coherence(phase_BTD, generator()))
    assert broken == pytest.approx(math.hypot(0.5 + 0.25 * math.sqrt(0.5), 0.25 + 0.25 * math.sqrt(0.5)), abs=0.02)


def test_shuffling_follows_its_generator() -> None:
    h_BTD = draw(2, 30, 8)
    one, same, other = (measures.shuffled_coherence(h_BTD, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_correction_puts_the_null_at_zero() -> None:
    assert measures.null_corrected(0.2, 0.2) == 0
    assert measures.null_corrected(1.0, 0.2) == 1
    assert measures.null_corrected(0.1, 0.2) < 0


# --- γ ---


def test_gamma() -> None:
    gamma_N = torch.tensor([0.2, 0.94, 0.96, 0.99])
    assert float(measures.gamma_mean(gamma_N)) == pytest.approx(0.7725)
    assert float(measures.gamma_saturation(gamma_N)) == 0.5


@pytest.mark.parametrize("measure", [measures.gamma_mean, measures.gamma_saturation])
def test_no_block_has_no_gamma(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match="no block"):
        measure(torch.empty(0))


# --- memory ---


def test_the_published_memory_forgets_within_tens_of_tokens() -> None:
    """Below 1 % after 28.3 tokens, unreadable after about 20."""
    assert measures.reach(0.85) == 29
    assert 0.85**29 < 0.01 <= 0.85**28
    assert measures.reach(0.5, 0.25) == 3  # strictly less than a quarter is left
    assert measures.readable_tokens(2048, 0.85) == pytest.approx(19.5, abs=0.1)
    assert math.sqrt(64) * 0.9 ** measures.readable_tokens(64, 0.9) * math.sqrt(1 - 0.9**2) == pytest.approx(1)


# --- hidden states ---


def test_entropy_flow_is_the_change_from_the_first_to_the_last() -> None:
    h_BTD = draw(2, 9, 6)
    entropy_BT = torch.distributions.Categorical(logits=h_BTD.abs()).entropy()
    expected = (entropy_BT[:, -1] - entropy_BT[:, 0]).mean() / 8
    assert float(measures.entropy_flow(h_BTD)) == pytest.approx(float(expected), abs=1e-6)


def test_entropy_flow_of_stationary_noise_is_zero_within_its_error() -> None:
    values = torch.stack([measures.entropy_flow(draw(4, 50, 16, seed=seed)) for seed in range(200)])
    assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(200)


def test_effective_rank_counts_equal_directions() -> None:
    assert float(measures.effective_rank(torch.eye(7))) == pytest.approx(7)
    assert float(measures.effective_rank(draw(1, 8).expand(20, 8))) == pytest.approx(1, abs=1e-5)
    assert float(measures.effective_rank(torch.diag(torch.tensor([1.0, 1.0, 0.0])))) == pytest.approx(2)


@pytest.mark.parametrize(("rows", "columns"), [(64, 16), (20, 40)])
def test_effective_rank_of_noise_is_the_expected_one(rows: int, columns: int) -> None:
    values = torch.stack([measures.effective_rank(draw(rows, columns, seed=seed)) for seed in range(30)])
    assert float(values.mean()) == pytest.approx(measures.expected_effective_rank(rows, columns), rel=0.01)
    assert float(values.max()) <= min(rows, columns)


def test_the_expected_rank_of_large_states_takes_one_draw() -> None:
    """Which is enough: single draws differ by less than a thousandth."""
    singles = [measures.effective_rank(draw(1100, 1000, seed=seed).float()) for seed in range(2)]
    assert float(singles[0]) == pytest.approx(float(singles[1]), rel=1e-3)
    assert measures.expected_effective_rank(1100, 1000) == pytest.approx(float(singles[0]), rel=1e-3)
