"""The phase signal of a resonant block: an angle that grows with the logarithm of the position.

Shapes: B batch, T positions, D channels. Phases are in radians, and computed in float64 whatever the model's
dtype: in bfloat16, as published, 534 positions have 390 distinct values.

Source:
    attention-free-phase-blocks, src/afrb.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.architectures.resonant.fields import Time
from trainables.layers.decayed_sum import widened
from trainables.randomness import Constant, Initializer, Normal

PROJECTION_STD = 1e-3


def phase_at(count: Tensor, omega: Tensor | float, phase: Tensor | float, time: Time) -> Tensor:
    """Return θ = ω·log(1 + count) + φ, or ω·count + φ where `time` is linear, modulo 2π, in float64.

    Args:
        count: Positions, or what counts as such; any shape and type.
        omega: ω in radians per unit of (logarithmic) time.
        phase: φ in radians.
        time: Whether the phase grows with the logarithm of the count or with the count.
    """
    count = count.to(torch.float64)
    return torch.remainder(omega * (count.log1p() if time == "log" else count) + phase, 2 * math.pi)


class PhaseEmbedding(nn.Module):
    """Blend (1 − α)·x + α·e with a projection e_t = W·(cos θ_t, sin θ_t) + b of the phase, θ_t = ω·log(1 + t) + φ.

    Args:
        d_model: Width D.
        alpha: α in [0, 1]. At 0 the input passes unchanged, and nothing is trained unless α is.
        omega: ω in radians per unit of (logarithmic) time; its initial value if it is learned.
        phase: φ in radians.
        time: As in `phase_at`.
        omega_range: Range of a learned ω; None: it is fixed.
        confined: Whether a learned ω starts in its range and is moved back into it. If not, as published, it is
            only read as the nearest value in the range, so that outside it gets no gradient and stays there.
        learn_phase: Whether α and φ are learned. As published they are parameters that are read as numbers, so
            that what the signal does gives them no gradient.
        aligned: Whether φ is a parameter in any case, because a penalty on it is part of the loss.
        bias: Whether there is a b.

    Raises:
        ValueError: If α is outside [0, 1], or a confined ω starts outside its range.
    """

    def __init__(
        self,
        d_model: int,
        *,
        alpha: float,
        omega: float,
        phase: float = 0.0,
        time: Time = "log",
        omega_range: tuple[float, float] | None = None,
        confined: bool = True,
        learn_phase: bool = False,
        aligned: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got {alpha}")
        if omega_range is not None and confined and not omega_range[0] <= omega <= omega_range[1]:
            raise ValueError(f"omega={omega} starts outside {list(omega_range)}, within which it is learned")
        self.time: Time = time
        self.omega_range, self.confined = omega_range, confined
        self.initializers: dict[str, Initializer] = {}
        self.alpha = self._scalar("alpha", alpha, learned=learn_phase)
        self.learn_phase = learn_phase
        self.phase = self._scalar("phase", phase, learned=learn_phase or (aligned and alpha > 0))
        self.omega = self._scalar("omega", omega, learned=omega_range is not None)
        self.passes = alpha == 0 and not learn_phase
        if not self.passes:
            self.projection_2D = nn.Parameter(torch.zeros(2, d_model))
            self.initializers["projection_2D"] = Normal(PROJECTION_STD)
            self.bias_D = nn.Parameter(torch.zeros(d_model)) if bias else None
            self.initializers["bias_D"] = Constant(0.0)

    def _scalar(self, name: str, value: float, *, learned: bool) -> nn.Parameter | float:
        """Return a parameter with initial value `value`, or the number itself."""
        if not learned:
            return value
        self.initializers[name] = Constant(value)
        return nn.Parameter(torch.tensor(value))

    def forward(self, x_BTD: Tensor, *, phase_shift: Tensor | float = 0.0, start: int = 0) -> Tensor:
        """Blend the phase into `x_BTD`.

        Args:
            x_BTD: The input.
            phase_shift: Added to φ, radians.
            start: Position of the first input.
        """
        if self.passes:
            return x_BTD
        wide_BTD = widened(x_BTD)
        phase_T1 = self.phases(x_BTD.shape[1], x_BTD.device, phase_shift=phase_shift, start=start).unsqueeze(-1)
        cos_D, sin_D = self.projection_2D.to(wide_BTD.dtype)
        embedding_TD = phase_T1.cos().to(wide_BTD.dtype) * cos_D + phase_T1.sin().to(wide_BTD.dtype) * sin_D
        if self.bias_D is not None:
            embedding_TD = embedding_TD + self.bias_D
        return ((1 - self.alpha) * wide_BTD + self.alpha * embedding_TD).to(x_BTD.dtype)

    def phases(
        self, num_positions: int, device: torch.device, *, phase_shift: Tensor | float = 0.0, start: int = 0
    ) -> Tensor:
        """Return θ of the positions from `start` on, modulo 2π, in float64."""
        count_T = torch.arange(start, start + num_positions, device=device)
        return phase_at(count_T, self.current_omega(), self.current_phase() + phase_shift, self.time)

    def current_omega(self) -> Tensor | float:
        """Return ω, clamped to its range if it is learned."""
        return self.omega if self.omega_range is None else torch.as_tensor(self.omega).clamp(*self.omega_range)

    def current_phase(self) -> Tensor | float:
        """Return φ, without a gradient if only a penalty trains it."""
        return self.phase if self.learn_phase or isinstance(self.phase, float) else self.phase.detach()

    @torch.no_grad()
    def confine(self) -> None:
        """Move a confined ω that has left its range back to the nearest bound, where it gets gradients again."""
        if self.omega_range is not None and self.confined:
            torch.as_tensor(self.omega).clamp_(*self.omega_range)

    def reference(self, x_BTD: Tensor, *, phase_shift: Tensor | float = 0.0) -> Tensor:
        """Blend from the definition, position by position."""
        if self.passes:
            return x_BTD
        rows = []
        for position in range(x_BTD.shape[1]):
            time = math.log(1 + position) if self.time == "log" else position
            theta = torch.as_tensor(
                self.current_omega() * time + self.current_phase() + phase_shift, dtype=torch.float64
            )
            embedding_D = theta.cos() * self.projection_2D[0] + theta.sin() * self.projection_2D[1]
            if self.bias_D is not None:
                embedding_D = embedding_D + self.bias_D
            rows.append((1 - self.alpha) * x_BTD[:, position] + self.alpha * embedding_D)
        return torch.stack(rows, 1)
