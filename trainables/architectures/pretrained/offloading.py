"""Weights that stay in host memory and are on the GPU only while they compute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def offload(model: Any, device: torch.device) -> None:
    """Have each module of a model bring its own weights to `device` before it computes, and drop them after.

    Buffers too: quantised layers keep their codes in them.
    """
    from accelerate import cpu_offload

    cpu_offload(model, execution_device=device, offload_buffers=True)


def largest_part(model: nn.Module) -> list[Tensor]:
    """Return the parameters and buffers of the module that has the most bytes of its own."""
    parts = [[*part.parameters(recurse=False), *part.buffers(recurse=False)] for part in model.modules()]
    return max(parts, key=lambda tensors: sum(tensor.nbytes for tensor in tensors))
