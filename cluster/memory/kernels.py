"""What PyTorch's CPU kernels take beside the tensors that they return, which fake tensors do not show."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from trainables.units import MIB

_TEMPORARIES_8BIT = 5
"""Float32 copies of a parameter that bitsandbytes' 8-bit AdamW makes at once on a CPU: both states, the gradient,
the root of the second state and its quotient. Its GPU kernel makes none."""

_SMALLEST_COMPILED = 16**3
"""Multiplications below which PyTorch does not ask oneDNN."""

_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")


class CpuKernels:
    """PyTorch's and bitsandbytes' on a CPU."""

    compiled_bytes = 3 * MIB // 4
    """What oneDNN keeps, for the life of the process, of a bfloat16 product that it has compiled for its shapes:
    with each new shape 0.55 to 0.85 MiB became resident, whatever the size of its cache."""

    def temporary_bytes(self, operation: Any, arguments: tuple[Any, ...]) -> int:
        """Return what an operation takes and frees internally: operands of other types than the result."""
        if operation.name() == "bitsandbytes::optimizer_update_8bit_blockwise":
            gradient: Tensor = arguments[1]
            return _TEMPORARIES_8BIT * 4 * gradient.numel()
        if torch.Tag.pointwise not in operation.tags:
            return 0
        tensors = [item for item in arguments if isinstance(item, Tensor) and item.dim()]
        if len({tensor.dtype for tensor in tensors}) < 2 or not all(map(_is_real_or_complex, tensors)):
            return 0
        widest = max(tensor.itemsize for tensor in tensors)  # the others are converted to it first
        return sum(tensor.numel() * widest for tensor in tensors if tensor.itemsize < widest)

    def compiled_for(self, operation: Any, arguments: tuple[Any, ...]) -> Hashable | None:
        """Return the shapes of a product in bfloat16."""
        if operation.name() not in _PRODUCTS:
            return None
        left, right = [item for item in arguments if isinstance(item, Tensor)][-2:]
        if left.dtype != torch.bfloat16 or left.numel() * right.shape[-1] <= _SMALLEST_COMPILED:
            return None
        return operation, left.shape, left.stride(), right.shape, right.stride()


def _is_real_or_complex(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
