"""What the weights of a Hugging Face causal LM take, whole or with its linear layers in 8 or 4 bits.

An oracle beside the estimate, which runs the loop on fake tensors: exact arithmetic on the layers that
`transformers` would replace by bitsandbytes' own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

Quantization = Literal["none", "8bit", "4bit"]

_BLOCK_4BIT = 64
"""Elements that share a scale."""
_CODE_4BIT = 16 * 4
"""Bytes of the table of values, which each layer has for itself."""
_BLOCK_NESTED = 256
"""Scales that share a scale of their own."""
_CODE_NESTED = 256 * 4
_OFFSET_NESTED = 4


@dataclass(frozen=True, kw_only=True)
class WeightStorages:
    """The storages of a model's parameters and buffers, in bytes each."""

    full: tuple[int, ...]
    """Of what stays in 16 or 32 bits: embeddings, head, norms, biases, buffers."""
    quantized: tuple[int, ...]
    """Of the weights in 8 or 4 bits, and of their scales and tables."""

    @property
    def total(self) -> int:
        """Bytes of all."""
        return sum(self.full) + sum(self.quantized)


def weight_storages(
    config: Any, *, quantization: Quantization, dtype: torch.dtype = torch.bfloat16, nested: bool = False
) -> WeightStorages:
    """Return what the weights of a model take; allocates none of them.

    Args:
        config: A `transformers` configuration.
        quantization: Of the linear layers that `transformers` replaces: all but the head.
        dtype: Of everything else.
        nested: Whether the scales of 4-bit weights are quantised themselves (`bnb_4bit_use_double_quant`).
    """
    with torch.device("meta"):
        model = _build(config, dtype)
    if quantization != "none":
        _replace_layers(model, quantization, dtype, nested=nested)
    full: dict[int, int] = {}
    quantized: list[int] = []
    for owner in model.modules():
        for name, tensor in _own_tensors(owner):
            if name == "weight" and _is_quantized(owner):
                quantized += _quantized_storages(tensor, quantization, nested=nested)
            else:  # biases beside quantised weights are loaded in the model's type, whatever they are made in
                full[id(tensor)] = tensor.numel() * dtype.itemsize if _is_quantized(owner) else tensor.nbytes
    return WeightStorages(full=tuple(full.values()), quantized=tuple(quantized))


def _build(config: Any, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config, dtype=dtype)


def _replace_layers(model: Any, quantization: Quantization, dtype: torch.dtype, *, nested: bool) -> None:
    """Put bitsandbytes' layers where `transformers` would, still without data."""
    from transformers import BitsAndBytesConfig
    from transformers.integrations import replace_with_bnb_linear
    from transformers.quantizers.base import HfQuantizer

    asked = BitsAndBytesConfig(
        load_in_8bit=quantization == "8bit",
        load_in_4bit=quantization == "4bit",
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_use_double_quant=nested,
    )
    kept = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)
    replace_with_bnb_linear(model, modules_to_not_convert=kept, quantization_config=asked)


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _is_quantized(module: nn.Module) -> bool:
    return type(module).__module__.startswith("bitsandbytes.")


def _quantized_storages(weight: Tensor, quantization: Quantization, *, nested: bool) -> list[int]:
    """Return the bytes of a weight with all it needs to be read again."""
    if quantization == "8bit":
        return [weight.numel(), 4 * weight.shape[0]]  # a float32 scale for every output
    packed = math.ceil(weight.numel() / 2)
    blocks = math.ceil(weight.numel() / _BLOCK_4BIT)
    if not nested:
        return [packed, 4 * blocks, _CODE_4BIT]
    return [packed, blocks, _CODE_4BIT, 4 * math.ceil(blocks / _BLOCK_NESTED), _CODE_NESTED, _OFFSET_NESTED]
