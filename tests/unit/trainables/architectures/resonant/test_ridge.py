"""KISS-Ridge and InfoNCE of the resonant family, against their closed forms."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.resonant.readout.infonce import InfoNCE
from trainables.architectures.resonant.readout.ridge import RidgeProjection, solve_ridge
from trainables.randomness import initialise

B, T, D, V = 2, 11, 8, 13
M = TypeVar("M", bound=nn.Module)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ready(module: M, seed: int = 0) -> M:
    initialise(module, seed)
    return module.double()


# --- ridge ---


def test_uniform_is_torchs_draw_of_a_linear_layer() -> None:
    projection = RidgeProjection(64, projection="uniform", unfreeze_step=None)
    initialise(projection, 0)
    torch_DD = nn.Linear(64, 64, bias=False).weight
    ours, theirs = (value.detach() for value in (projection.map_DD, torch_DD))
    assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.05)
    assert float(ours.abs().max()) == pytest.approx(1 / 8, rel=0.01)
    assert not projection.pairs_due(0)


@pytest.mark.parametrize("rows", [5, 40], ids=["fewer pairs than dimensions", "more"])
def test_ridge_solves_its_normal_equations_and_the_dual_ones(rows: int) -> None:
    z_ND, e_NK, l2 = draw(rows, 12), draw(rows, 7, seed=1), 1e-3
    w_DK = solve_ridge(z_ND, e_NK, l2)
    residual_DK = z_ND.T @ (z_ND @ w_DK - e_NK) + l2 * w_DK
    assert float(residual_DK.abs().max()) < 1e-6
    dual_DK = z_ND.T @ torch.linalg.inv(z_ND @ z_ND.T + l2 * torch.eye(rows, dtype=z_ND.dtype)) @ e_NK
    torch.testing.assert_close(w_DK, dual_DK, rtol=1e-6, atol=1e-8)


def test_a_strong_penalty_gives_zero() -> None:
    z_ND, e_NK = draw(20, 12), draw(20, 7, seed=1)
    norms = [float(solve_ridge(z_ND, e_NK, l2).norm()) for l2 in (1e-3, 1.0, 1e3, 1e9)]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 1e-6


def test_ridge_is_computed_in_double_precision_whatever_comes_in() -> None:
    z_ND, e_NK = draw(5, 12), draw(5, 7, seed=1)
    assert solve_ridge(z_ND.bfloat16(), e_NK.bfloat16(), 1e-3).dtype == torch.float64


@pytest.mark.parametrize(("rows", "l2", "message"), [(5, 0.0, "l2 must be above 0"), (4, 1e-3, "5 and 4 rows")])
def test_ridge_refuses_what_it_cannot_solve(rows: int, l2: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        solve_ridge(draw(5, 12), draw(rows, 7), l2)


def test_calibration_with_fewer_pairs_than_dimensions_fits_anything() -> None:
    """512 pairs in 2,048 dimensions, as logged (a smallest singular value of 0), map even noise to noise."""
    projection = ready(RidgeProjection(32))
    found = projection.calibrate(draw(8, 32), draw(8, 32, seed=1))
    assert found["pairs"] == 8
    assert found["singular_min"] == pytest.approx(0, abs=1e-9)
    assert found["singular_max"] > 1
    assert found["cosine"] > 0.999
    fresh = functional.cosine_similarity(projection(draw(500, 32, seed=2)), draw(500, 32, seed=3)).mean()
    assert abs(float(fresh.detach())) < 0.05
    enough = projection.calibrate(draw(400, 32), draw(400, 32, seed=1))
    assert enough["cosine"] < 0.5
    assert enough["singular_min"] > 0


def test_calibration_ignores_lengths_and_recalibration_blends() -> None:
    projection = ready(RidgeProjection(D))
    z_ND, e_ND = draw(30, D), draw(30, D, seed=1)
    projection.calibrate(z_ND, e_ND)
    first_DD = projection.map_DD.detach().clone()
    unit_ND, target_ND = functional.normalize(z_ND), functional.normalize(e_ND)
    torch.testing.assert_close(first_DD, solve_ridge(unit_ND, target_ND, 1e-3))
    projection.calibrate(5 * z_ND, 7 * e_ND)
    torch.testing.assert_close(projection.map_DD.detach(), first_DD)
    projection.calibrate(z_ND, e_ND.flip(0), share=0.3)
    other_DD = solve_ridge(unit_ND, target_ND.flip(0), 1e-3)
    torch.testing.assert_close(projection.map_DD.detach(), 0.7 * first_DD + 0.3 * other_DD)


def test_pairs_are_due_before_the_first_step_and_at_each_recalibration() -> None:
    projection = RidgeProjection(D, max_pairs=400, recalibrate_every=50)
    assert {step: projection.pairs_due(step) for step in range(120) if projection.pairs_due(step)} == {
        0: 400,
        50: 256,
        100: 256,
    }
    assert [RidgeProjection(D).pairs_due(step) for step in (0, 1, 1000)] == [512, 0, 0]
    assert RidgeProjection(D, projection="random", recalibrate_every=50).pairs_due(0) == 0
    assert RidgeProjection(D, projection="identity", recalibrate_every=50).pairs_due(50) == 0


def test_controls_start_at_a_draw_and_at_the_identity() -> None:
    read_BTD = draw(B, T, D)
    assert torch.equal(ready(RidgeProjection(D, projection="identity"))(read_BTD), read_BTD)
    large = ready(RidgeProjection(256, projection="random"))
    assert float(large.map_DD.detach().std()) == pytest.approx(256**-0.5, rel=0.05)


@pytest.mark.parametrize(("unfreeze_step", "trained_from"), [(100, 100), (0, 0), (None, None)])
@pytest.mark.parametrize("kind", ["ridge", "random", "identity"])
def test_a_frozen_projection_does_not_move_and_lets_gradients_through(
    kind: Any, unfreeze_step: int | None, trained_from: int | None
) -> None:
    projection = ready(RidgeProjection(D, projection=kind, unfreeze_step=unfreeze_step))
    projection = copy.deepcopy(projection)  # what makes it frozen survives a copy
    start_DD = projection.map_DD.detach().clone()
    optimizer = torch.optim.AdamW(projection.parameters(), lr=0.1, weight_decay=0.0)
    for step in (0, 99, 100, 5000):
        projection.set_step(step)
        read_BTD = draw(B, T, D).requires_grad_()
        optimizer.zero_grad()
        projection(read_BTD).square().sum().backward()
        optimizer.step()
        moved = not torch.equal(projection.map_DD.detach(), start_DD)
        assert moved == (trained_from is not None and step >= trained_from)
        assert (kind == "identity" or moved or bool(projection.map_DD.any())) and read_BTD.grad is not None


# --- InfoNCE ---


@pytest.mark.parametrize("embedding", ["projected", "sliced"])
@pytest.mark.parametrize("num_negatives", [1, 128])
def test_identical_vectors_give_ln_one_plus_n(embedding: Any, num_negatives: int) -> None:
    loss = ready(InfoNCE(D, dim=4, num_negatives=num_negatives, embedding=embedding))
    row_D = draw(D)
    value = loss(draw(B, D, seed=1), row_D.expand(B, D), row_D.expand(B, num_negatives, D))
    assert float(value.detach()) == pytest.approx(math.log(1 + num_negatives))


@pytest.mark.parametrize("embedding", ["projected", "sliced"])
def test_infonce_is_its_formula(embedding: Any) -> None:
    loss = ready(InfoNCE(D, dim=4, num_negatives=6, temperature=0.2, embedding=embedding))
    read_BD, positive_BD, negative_BND = draw(B, D), draw(B, D, seed=1), draw(B, 6, D, seed=2)

    def code(row_D: Tensor) -> Tensor:
        return row_D[:4] if loss.embed_DK is None else row_D @ loss.embed_DK

    terms = []
    loss.requires_grad_(False)
    for b in range(B):
        z_K = read_BD[b] @ loss.compress_DK
        good = math.exp(functional.cosine_similarity(z_K, code(positive_BD[b]), dim=0) / 0.2)
        bad = [math.exp(functional.cosine_similarity(z_K, code(row_D), dim=0) / 0.2) for row_D in negative_BND[b]]
        terms.append(-math.log(good / (good + sum(bad))))
    assert float(loss(read_BD, positive_BD, negative_BND)) == pytest.approx(sum(terms) / B)


def test_infonce_starts_at_glorots_scale_and_can_be_frozen() -> None:
    loss = ready(InfoNCE(200, dim=100))
    assert loss.embed_DK is not None
    for parameter in (loss.compress_DK, loss.embed_DK):
        assert float(parameter.detach().std()) == pytest.approx(math.sqrt(2 / 300), rel=0.03)
    read_BD = draw(B, 200).requires_grad_()
    loss.frozen = True
    loss(read_BD, draw(B, 200, seed=1), draw(B, 5, 200, seed=2)).backward()
    assert [bool(parameter.grad.any()) for parameter in loss.parameters() if parameter.grad is not None] == [
        False
    ] * 2
    assert read_BD.grad is not None
    assert read_BD.grad.any()


def test_negatives_are_uniform_and_follow_the_seed() -> None:
    loss = InfoNCE(D, dim=4, num_negatives=500)
    torch.manual_seed(1)
    first_BN = loss.draw_negatives(20, V, "cpu")
    torch.manual_seed(1)
    assert torch.equal(first_BN, loss.draw_negatives(20, V, "cpu"))
    counts_V = first_BN.flatten().bincount(minlength=V)
    assert first_BN.shape == (20, 500)
    chi_squared = float(((counts_V - 10_000 / V) ** 2 / (10_000 / V)).sum())
    assert chi_squared < 33  # .999 quantile at 12 degrees of freedom


def test_rows_narrower_than_the_code_cannot_be_sliced() -> None:
    with pytest.raises(ValueError, match=r"infonce\.dim=512 entries cannot be sliced from rows of d_model=8"):
        InfoNCE(D, embedding="sliced")
    assert InfoNCE(D).compress_DK.shape == (D, 512)
