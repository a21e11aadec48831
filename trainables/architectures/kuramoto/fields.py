"""The choices of the `kuramoto` family."""

from __future__ import annotations

from typing import Literal

Sign = Literal["attractive", "repulsive"]
Readout = Literal["angle", "cos_sin"]
CoherenceForm = Literal["ceiling", "centre", "band"]
