"""Angles, in radians."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def wrap(phase: Tensor) -> Tensor:
    """Return the same angles in [-π, π)."""
    return torch.remainder(phase + math.pi, 2 * math.pi) - math.pi
