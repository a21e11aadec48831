"""The choices of the `tpi` family."""

from __future__ import annotations

from typing import Literal

Frequency = Literal["linear", "gated", "atan2", "fixed", "none"]
Decoupling = Literal["none", "free", "constrained"]
PhaseInit = Literal["none", "linear", "mlp"]
QueryOffset = Literal["none", "read", "trajectory"]
Decay = Literal["none", "learned"]
Magnitude = Literal["sigmoid", "none"]
