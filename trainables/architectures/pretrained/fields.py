"""The choices for a pretrained backbone, and what its libraries cost; read without PyTorch."""

from __future__ import annotations

from typing import Literal

Quantisation = Literal["none", "8bit", "4bit"]

Dtype = Literal["float32", "bfloat16"]

LIBRARIES_MIB = 150.0
"""Growth of a process when it imports a causal LM of transformers 5.23, as measured on Linux: 149."""
