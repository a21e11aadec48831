"""The choices that shared layers offer as fields of configurations; read without PyTorch."""

from __future__ import annotations

from typing import Literal

Positions = Literal["learned", "sinusoidal", "none"]

Normalise = Literal["none", "sum", "sqrt"]
"""What a phase scan's sum is divided by: nothing, the sum M of the weights, or its square root."""
