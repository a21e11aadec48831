"""Mixers that stand where attention is turned off: `identity` passes the normed input on, `no` adds nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainables.layers.mixer import Mixer, MixerOutput


class IdentityMixer(Mixer):
    """Returns its normed input, so that a block adds norm(x) to x: how the published code bypasses attention."""

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Return the input."""
        return MixerOutput(x_BTD)

    def stream(self, x_BTD: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return the input; there is nothing to keep."""
        return x_BTD, None

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Return the input."""
        return x_BTD


class NoMixer(Mixer):
    """Adds nothing: no position sees another."""

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Return zeros."""
        return MixerOutput(torch.zeros_like(x_BTD))

    def stream(self, x_BTD: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return zeros; there is nothing to keep."""
        return torch.zeros_like(x_BTD), None
