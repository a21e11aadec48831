"""What configurations and size limits know of shared layers; read without PyTorch."""

from __future__ import annotations

from typing import Literal

Positions = Literal["learned", "sinusoidal", "none"]

Normalise = Literal["none", "sum", "sqrt"]
"""What a phase scan's sum is divided by: nothing, the sum M of the weights, or its square root."""

NULL_DRAWS = 8192
"""Simulated draws for `order_parameters.expected_head_averaged`; its standard error is then below .004."""
