"""Compares a layer with its slow reference: outputs, and gradients to the input and every parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

LENGTHS = (1, 63, 100, 513)
TOLERANCE: dict[str, float] = {"rtol": 1e-9, "atol": 1e-11}


def assert_equals_reference(
    layer: nn.Module, reference: Callable[[Any, Tensor], Tensor], *, d_model: int, seq_len: int
) -> None:
    """Fail unless float64 `layer` and `reference(layer, x)` agree in value and in every gradient."""
    draw = torch.Generator().manual_seed(seq_len)
    x_BTD = torch.randn(2, seq_len, d_model, dtype=torch.float64, generator=draw).requires_grad_()
    direction_BTD = torch.randn(x_BTD.shape, dtype=torch.float64, generator=draw)
    inputs = [x_BTD, *layer.parameters()]
    outputs = layer(x_BTD).y_BTD, reference(layer, x_BTD)
    torch.testing.assert_close(*outputs, **TOLERANCE)
    gradients = [torch.autograd.grad((y_BTD * direction_BTD).sum(), inputs) for y_BTD in outputs]
    names = ["x", *(name for name, _ in layer.named_parameters())]
    for name, fast, slow in zip(names, *gradients, strict=True):
        torch.testing.assert_close(fast, slow, **TOLERANCE, msg=lambda text, name=name: f"d/d {name}: {text}")
