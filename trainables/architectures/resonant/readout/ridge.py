"""KISS-Ridge: the projection from what is read to an embedding, solved in closed form before training.

Source:
    attention-free-phase-blocks, `utils_alignment.py` (`ridge_fit`, `collect_alignment_pairs`) and the
    re-calibration in `train.py`. Hoerl and Kennard (1970), Technometrics 12, pages 55-67.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.resonant.fields import Projection
from trainables.architectures.resonant.readout.freezing import zero_gradient_if
from trainables.randomness import Constant, Initializer, Normal, Uniform

RECALIBRATION_PAIRS = 256
"""Pairs used in each re-calibration, or `max_pairs` if that is fewer."""

RECALIBRATION_SHARE = 0.3
"""Weight of the new solution in a re-calibrated projection; the old one keeps the rest."""


def solve_ridge(z_ND: Tensor, e_NK: Tensor, l2: float) -> Tensor:
    """Return W_DK = argmin ‖Z W − E‖² + l2 ‖W‖², from the normal equations (ZᵀZ + l2 I) W = ZᵀE in float64.

    Fewer pairs than dimensions are no obstacle: the penalty selects one of the solutions.

    Args:
        z_ND: One input a row.
        e_NK: One target a row.
        l2: Strength of the penalty, above 0.

    Returns:
        W_DK in float64.

    Raises:
        ValueError: If `l2` is not above 0, or the numbers of rows differ.
    """
    if l2 <= 0:
        raise ValueError(f"l2 must be above 0, got {l2}: without it fewer pairs than dimensions have no solution")
    if len(z_ND) != len(e_NK):
        raise ValueError(f"inputs and targets must be pairs, got {len(z_ND)} and {len(e_NK)} rows")
    z_ND, e_NK = z_ND.double(), e_NK.double()
    gram_DD = z_ND.T @ z_ND + l2 * torch.eye(z_ND.shape[1], dtype=z_ND.dtype, device=z_ND.device)
    return torch.cholesky_solve(z_ND.T @ e_NK, torch.linalg.cholesky(gram_DD))


class RidgeProjection(nn.Module):
    """A trained D×D map that starts at the ridge solution, or, as controls, random or at the identity.

    It is frozen until `unfreeze_step`, see `freezing`.

    Args:
        d_model: Width D of inputs and outputs.
        projection: `ridge`; `random` keeps the initial draw, and so does `uniform`, which is torch's for a linear
            layer; `identity` starts at x → x. None of these is calibrated.
        l2: As in `solve_ridge`.
        max_pairs: Pairs for the calibration before the first step.
        unfreeze_step: First step, from 0, that trains the projection; None: never.
        recalibrate_every: Steps between re-calibrations; 0: none.
    """

    def __init__(
        self,
        d_model: int,
        *,
        projection: Projection = "ridge",
        l2: float = 1e-3,
        max_pairs: int = 512,
        unfreeze_step: int | None = 100,
        recalibrate_every: int = 0,
    ) -> None:
        super().__init__()
        self.projection: Projection = projection
        self.l2, self.max_pairs = l2, max_pairs
        self.unfreeze_step, self.recalibrate_every = unfreeze_step, recalibrate_every
        self.map_DD = nn.Parameter(torch.empty(d_model, d_model))
        bound = 1 / math.sqrt(d_model)
        # `identity` trains the difference from the identity, because an initialiser can only draw or fill
        drawn = Uniform(bound) if projection == "uniform" else Normal(bound)
        self.initializers: dict[str, Initializer] = {"map_DD": Constant(0.0) if projection == "identity" else drawn}
        self.frozen = unfreeze_step != 0

    def set_step(self, step: int) -> None:
        """Freeze or unfreeze, as required right before 0-based `step`."""
        self.frozen = self.unfreeze_step is None or step < self.unfreeze_step

    def pairs_due(self, step: int) -> int:
        """Return how many pairs `calibrate` needs before 0-based `step`; 0: none."""
        if self.projection != "ridge":
            return 0
        if step == 0:
            return self.max_pairs
        due = self.recalibrate_every > 0 and step % self.recalibrate_every == 0
        return min(RECALIBRATION_PAIRS, self.max_pairs) if due else 0

    @torch.no_grad()
    def calibrate(self, z_ND: Tensor, e_ND: Tensor, *, share: float = 1.0) -> dict[str, float]:
        """Set the map to the ridge solution for pairs normalised to length 1.

        Args:
            z_ND: What was read, one example a row; its length is ignored.
            e_ND: The target embedding; its length is ignored.
            share: Weight of the new solution; the old map keeps the rest. `RECALIBRATION_SHARE` after the first.

        Returns:
            Statistics of the calibration: `pairs`; `cosine`, the mean over pairs between target and the new
            solution's prediction (in sample: with fewer pairs than dimensions it is near 1 for any targets);
            `singular_min` and `singular_max` of the solution, as published: with fewer pairs than dimensions
            `singular_min` is 0.
        """
        z_ND = functional.normalize(z_ND.double(), dim=1)
        e_ND = functional.normalize(e_ND.double(), dim=1)
        solution_DD = solve_ridge(z_ND, e_ND, self.l2)
        self.map_DD.copy_((1 - share) * self.map_DD + share * solution_DD)
        singular_D = torch.linalg.svdvals(solution_DD)
        return {
            "pairs": float(len(z_ND)),
            "cosine": float(functional.cosine_similarity(z_ND @ solution_DD, e_ND).mean()),
            "singular_min": float(singular_D[-1]),
            "singular_max": float(singular_D[0]),
        }

    def forward(self, read_BTD: Tensor) -> Tensor:
        """Map what is read to the space of the embeddings."""
        mapped_BTD = read_BTD @ zero_gradient_if(self.map_DD, frozen=self.frozen).to(read_BTD.dtype)
        return read_BTD + mapped_BTD if self.projection == "identity" else mapped_BTD
