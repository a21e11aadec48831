"""How a block's strength grows with the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

ScheduleCounter = Literal["steps", "forward_passes"]


@dataclass(frozen=True, kw_only=True)
class BlockSchedule:
    """How a block's phase signal comes in as training goes on; step 0 is before the first update."""

    warm_steps: int = 0
    """Steps without the signal: as published the stillness's `warm_steps`, plus a delay for each block before."""
    ramp_steps: int = 300
    """Steps over which the signal then rises to its full strength; 0: at once."""
    phase_ramp_steps: int = 300
    """Steps after which the phase has glided 1 − 1/e of its way."""
    phase_glide: float = 0.0
    """Δφ in radians, by which the phase glides; as published also what the next block's phase begins ahead."""
    counter: ScheduleCounter = "steps"
    """What is counted: optimiser steps, or, as published, training forward passes, the present one included."""

    def ramp(self, step: Tensor) -> Tensor:
        """Return the share of the signal let in at `step`, in [0, 1]."""
        passed = (step - self.warm_steps).double()
        return (passed / self.ramp_steps).clamp(0, 1) if self.ramp_steps else (passed >= 0).double()

    def phase_shift(self, step: Tensor) -> Tensor:
        """Return Δφ·(1 − e^{−(step − warm)/phase_ramp}) in radians, 0 before."""
        passed = (step - self.warm_steps).double().clamp(min=0)
        return self.phase_glide * -torch.expm1(-passed / max(1, self.phase_ramp_steps))
