"""Frozen linear layers with weights in 8 or 4 bits, quantised by bitsandbytes.

bitsandbytes' own layers compute differently in training and in evaluation: in 8 bits they also round activations,
column by column over the whole batch if a threshold is set, so that sequences and later tokens interact; in 4
bits a CPU with AVX-512 repacks the weights at the first evaluation, after which gradients no longer flow. Here the
weight is dequantised to the input's dtype in each pass, forward and backward, and nothing is kept between them:
the same arithmetic in every mode and on every device, and memory that fake tensors can count.

Source:
    Dettmers et al. (2022), "LLM.int8()", sections 2.1 and 3.1 (a scale for each output).
    Dettmers et al. (2023), "QLoRA", section 3 (NF4 with a scale for every 64 elements).
"""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from trainables.architectures.pretrained.fields import Quantisation

BLOCK_4BIT = 64
"""Elements of a 4-bit weight that share a scale."""
TYPE_4BIT = "nf4"
_BYTES_4BIT = BLOCK_4BIT // 2
_LARGEST_INT8 = 127


def silence_advice() -> None:
    """Keep bitsandbytes, when it is imported on some CPUs, from advising a kernel of the hub: none is used here."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


class QuantisedLinear(nn.Module):
    """y = x Wᵀ + b with a quantised W; W and b are never trained, gradients flow to x."""

    shape: tuple[int, int]
    """Number of outputs and inputs."""
    codes: Tensor
    scales: Tensor
    bias: Tensor | None

    @property
    def in_features(self) -> int:
        """Number of inputs, under the name that `nn.Linear` has for it."""
        return self.shape[1]

    @property
    def out_features(self) -> int:
        """Number of outputs, under the name that `nn.Linear` has for it."""
        return self.shape[0]

    @property
    def qweight(self) -> Tensor:
        """The codes, under the name by which `peft` looks where a layer is."""
        return self.codes

    def forward(self, x: Tensor) -> Tensor:
        """Map the last dimension of `x` from inputs to outputs."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        y: Tensor = _Multiply.apply(x, self)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    @abstractmethod
    def weight_OI(self, dtype: torch.dtype) -> Tensor:
        """Return the weight, dequantised to `dtype`."""

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"outputs={self.shape[0]}, inputs={self.shape[1]}, bias={self.bias is not None}"


class Linear8Bit(QuantisedLinear):
    """W = codes x scale / 127, with a scale for each output."""

    def __init__(self, codes_OI: Tensor, scales_O: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        self.shape = (codes_OI.shape[0], codes_OI.shape[1])
        self.register_buffer("codes", codes_OI)
        self.register_buffer("scales", scales_O)
        self.register_buffer("bias", bias_O)

    def weight_OI(self, dtype: torch.dtype) -> Tensor:
        """Return the weight, dequantised to `dtype`."""
        return self.codes.to(dtype).mul_(self.scales.unsqueeze(1) / _LARGEST_INT8)


class Linear4Bit(QuantisedLinear):
    """W in NF4, row after row: two elements a byte, with a scale for every 64 of them."""

    def __init__(self, codes: Tensor, scales: Tensor, bias_O: Tensor | None, *, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        lacking = scales.numel() * _BYTES_4BIT - codes.numel()
        codes = codes.flatten()
        self.register_buffer("codes", nn.functional.pad(codes, (0, lacking)) if lacking else codes)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", bias_O)

    def weight_OI(self, dtype: torch.dtype) -> Tensor:
        """Return the weight, dequantised to `dtype`."""
        import bitsandbytes  # noqa: F401  # registers the operation

        # With one scale per row: on a CPU the operation uses the scales of other rows if a row of `shape` is not a
        # multiple of 64, and the weight it returns is wrong by a third.
        blocks = [self.scales.numel(), BLOCK_4BIT]
        weight: Tensor = torch.ops.bitsandbytes.dequantize_4bit.default(
            self.codes, self.scales, BLOCK_4BIT, TYPE_4BIT, blocks, dtype
        )
        return weight.flatten()[: self.shape[0] * self.shape[1]].view(self.shape)


class _Multiply(torch.autograd.Function):
    """x Wᵀ that saves neither x nor W for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantisedLinear) -> Tensor:
        ctx.layer = layer
        return nn.functional.linear(x, layer.weight_OI(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient @ ctx.layer.weight_OI(gradient.dtype), None


def unfilled(
    quantisation: Quantisation, *, outputs: int, inputs: int, bias_dtype: torch.dtype | None
) -> QuantisedLinear:
    """Return a layer of the right sizes without data, for counting memory.

    Args:
        quantisation: `8bit` or `4bit`.
        outputs: Rows of the weight.
        inputs: Columns of the weight.
        bias_dtype: Of the bias; None: no bias.
    """
    bias_O = None if bias_dtype is None else torch.empty(outputs, dtype=bias_dtype)
    if quantisation == "8bit":
        return Linear8Bit(torch.empty(outputs, inputs, dtype=torch.int8), torch.empty(outputs), bias_O)
    blocks = math.ceil(outputs * inputs / BLOCK_4BIT)
    codes = torch.empty(blocks * _BYTES_4BIT, dtype=torch.uint8)
    return Linear4Bit(codes, torch.empty(blocks), bias_O, shape=(outputs, inputs))


def from_bitsandbytes(layer: Any) -> QuantisedLinear:
    """Return a layer with the quantised weights of a bitsandbytes layer."""
    weight, bias_O = layer.weight, None if layer.bias is None else layer.bias.detach()
    state = getattr(weight, "quant_state", None)
    if state is None:
        return Linear8Bit(weight.data, weight.SCB.float(), bias_O)
    return Linear4Bit(weight.data, state.absmax, bias_O, shape=(state.shape[0], state.shape[1]))
