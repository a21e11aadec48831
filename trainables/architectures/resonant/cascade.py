"""How the parameters of the phase signal change from block to block."""

from __future__ import annotations

import math
from typing import NamedTuple, Self


class Cascade(NamedTuple):
    """The parameters of one block's phase signal, derived from the first block's.

    Source:
        attention-free-phase-blocks, src/train.py (`--cascade-lambda`, `--cascade-kappa`, `--phase-delta`,
        `--omega-delta`).
    """

    alpha: float
    gamma: float
    omega: float
    phase: float

    @classmethod
    def of_block(
        cls,
        block: int,
        *,
        alpha: float,
        gamma: float,
        omega: float,
        phase: float = 0.0,
        cascade_lambda: float = 0.0,
        cascade_kappa: float = 0.0,
        phase_delta: float = 0.0,
        omega_delta: float = 0.0,
    ) -> Self:
        """Return α·e^{−λi}, γ·e^{−κi}, ω + i·Δω and φ + i·Δφ of 0-based block i."""
        return cls(
            alpha * math.exp(-cascade_lambda * block),
            gamma * math.exp(-cascade_kappa * block),
            omega + block * omega_delta,
            phase + block * phase_delta,
        )
