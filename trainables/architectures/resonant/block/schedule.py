"""How a block's strength grows with the step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.architectures.resonant.fields import ScheduleCounter


@dataclass(frozen=True, kw_only=True)
class BlockSchedule:
    """How a block's phase signal is ramped up during training; step 0 is before the first update."""

    warm_steps: int = 0
    """Steps without the signal: as published the stillness's `warm_steps`, plus a delay per preceding block."""
    ramp_steps: int = 300
    """Steps over which the signal then rises to its full strength; 0: at once."""
    phase_ramp_steps: int = 300
    """Steps after which the phase shift has reached 1 − 1/e of its final value."""
    phase_glide: float = 0.0
    """Final phase shift Δφ in radians; as published also the offset of the next block's phase."""
    counter: ScheduleCounter = "steps"
    """What is counted: optimiser steps, or, as published, training forward passes, the current one included."""

    def ramp(self, step: Tensor) -> Tensor:
        """Return the weight of the signal at `step`, in [0, 1]."""
        passed = (step - self.warm_steps).double()
        return (passed / self.ramp_steps).clamp(0, 1) if self.ramp_steps else (passed >= 0).double()

    def phase_shift(self, step: Tensor) -> Tensor:
        """Return Δφ·(1 − e^{−(step − warm)/phase_ramp}) in radians, 0 before."""
        passed = (step - self.warm_steps).double().clamp(min=0)
        return self.phase_glide * -torch.expm1(-passed / max(1, self.phase_ramp_steps))
