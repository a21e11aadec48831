"""T2 decay and the PCM offset: alternatives to the constant decay of a phase-vector memory.

Source:
    attention-free-phase-blocks, src/phase_memory.py (`PhaseBuffer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from trainables.randomness import Constant, Initializer, Normal


@dataclass(frozen=True, kw_only=True)
class T2Decay:
    """A decay d(u) by the position u = 1, 2, … in the sequence: e^{−u/steps}, or e^{−ku}·(1 + α·sin(ω·ln u + φ)).

    It replaces the memory's β, and also multiplies what is read. As published (`published`) both in training only,
    so that the evaluated memory differs from the trained one; and what is read decays with the position plus
    the number of training forward passes, so that after a few thousand passes nothing is read any more.
    """

    mode: Literal["exp", "resonant"] = "exp"
    """`exp` is the first; `resonant` the second, never below 0, but sometimes above 1."""
    steps: float = 1500.0
    """T2 in positions."""
    k: float = 1e-3
    alpha: float = 0.08
    omega: float = 6.0
    phase: float = 1.0472
    """φ in radians."""
    fades_read: bool = True
    """Whether it also multiplies what is read; as published not where it only comes with PCM."""
    published: bool = False
    """Whether it behaves as published."""

    def log_decay(self, time: Tensor) -> Tensor:
        """Return the natural logarithm of the decay at times u >= 1, in float64."""
        time = time.to(torch.float64)
        if self.mode == "exp":
            return -time / self.steps
        swing = 1 + self.alpha * torch.sin(self.omega * time.log() + self.phase)
        return swing.clamp(min=0).log() - self.k * time

    def decay(self, time: Tensor) -> Tensor:
        """Return the decay at times u >= 1, in float64."""
        return self.log_decay(time).exp()


class PhaseChangeOffset(nn.Module):
    """PCM ("phase-change memory"): σ(g)·c + (1 − σ(g))·a, learned vectors c and a, added to what is read.

    Args:
        d_model: Width D.
        gate_init: Initial value of g.
        init_std: Initial standard deviation of c and a; as published 0, which gives g no gradient at first.
        published: Whether it is added in training only. (As published it also replaces β by e^{−u/1500}: a
            `T2Decay` that does not fade what is read.)
    """

    def __init__(
        self, d_model: int, *, gate_init: float = 0.5, init_std: float = 0.0, published: bool = False
    ) -> None:
        super().__init__()
        self.published = published
        self.gate = nn.Parameter(torch.tensor(gate_init))
        self.crystalline_D = nn.Parameter(torch.zeros(d_model))
        self.amorphous_D = nn.Parameter(torch.zeros(d_model))
        self.initializers: dict[str, Initializer] = {
            "gate": Constant(gate_init),
            "crystalline_D": Normal(init_std),
            "amorphous_D": Normal(init_std),
        }

    def forward(self) -> Tensor:
        """Return the offset, of shape D."""
        return torch.lerp(self.amorphous_D, self.crystalline_D, self.gate.sigmoid())
