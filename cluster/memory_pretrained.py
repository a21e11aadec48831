"""How much memory a Hugging Face causal LM needs, whole or with its linear layers in 8 or 4 bits.

Fake tensors do not run bitsandbytes' operations, and a meta model does not quantise. So the weights are counted by
exact arithmetic on the layers that `transformers` would replace, and everything else (activations, logits,
gradients) is what the unquantised model takes on fake tensors: a quantised layer keeps the same input for the
backward pass. A layer in 4 bits, and one in 8 in the backward pass, first makes its whole weight anew in the type
it computes in; the largest of these is part of the workspace.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from cluster.memory import PROCESS_MIB, MemoryEstimate
from cluster.memory_allocators import Device, allocator_of
from cluster.memory_ledger import Ledger, nbytes
from trainables.units import MIB

Quantization = Literal["none", "8bit", "4bit"]
Trained = Literal["nothing", "extra", "everything"]

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
    largest_dequantized: int
    """The largest quantised weight in the type it computes in."""

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
    largest = 0
    for owner in model.modules():
        for name, tensor in _own_tensors(owner):
            if name == "weight" and _is_quantized(owner):
                quantized += _quantized_storages(tensor, quantization, nested=nested)
                largest = max(largest, tensor.numel() * dtype.itemsize)
            else:  # biases beside quantised weights are loaded in the model's type, whatever they are made in
                full[id(tensor)] = tensor.numel() * dtype.itemsize if _is_quantized(owner) else tensor.nbytes
    return WeightStorages(full=tuple(full.values()), quantized=tuple(quantized), largest_dequantized=largest)


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


def estimate_pretrained(
    config: Any,
    *,
    quantization: Quantization,
    micro_batch_size: int,
    context_length: int,
    trained: Trained = "extra",
    extra_parameters: int = 0,
    dtype: torch.dtype = torch.bfloat16,
    nested: bool = False,
    process_mib: float = PROCESS_MIB,
    device: Device = "cpu",
) -> MemoryEstimate:
    """Return the memory of training, or of scoring with, a Hugging Face causal LM; allocates nothing of it.

    Args:
        config: A `transformers` configuration.
        quantization: Of the linear layers that `transformers` replaces: all but the head.
        micro_batch_size: Sequences of one forward pass.
        context_length: Tokens of a sequence.
        trained: `nothing` scores only. `extra` trains parameters beside a frozen model, and gradients flow through
            all of its layers to reach them. `everything` trains the model itself; not if it is quantised.
        extra_parameters: Elements trained beside it, in float32, with AdamW's state; without their activations.
        dtype: Of the weights that are not quantised, and of the computation.
        nested: As in `weight_storages`.
        process_mib: What the process needs before it has a model; on a card, its context.
        device: Where the model is.

    Raises:
        ValueError: If a quantised model is to be trained itself.
    """
    if trained == "everything" and quantization != "none":
        raise ValueError(f"weights in {quantization} have no gradients: train 'extra' parameters beside them")
    weights = weight_storages(config, quantization=quantization, dtype=dtype, nested=nested)
    beside = 4 * extra_parameters
    ledger = Ledger(allocator_of(device))
    with torch.random.fork_rng(devices=[]), FakeTensorMode():
        model = _build(config, dtype)
        itself = nbytes(model.parameters()) if trained == "everything" else 0
        gradients, optimizer = (beside, 2 * beside) if trained == "extra" else (itself, 2 * itself)
        ledger.ignore([*model.parameters(), *model.buffers()])
        ledger.hold([*weights.full, *weights.quantized, beside, optimizer, gradients - itself])
        with ledger:
            kept = _pass(model, ledger, (micro_batch_size, context_length), trained)
        peak = max(ledger.peak_bytes.values()) + weights.largest_dequantized
        del model
    parameters = weights.total + beside
    rest = peak - parameters - optimizer
    gradients = min(gradients, rest)
    activations = min(kept, rest - gradients)
    return MemoryEstimate(
        parameters_mib=parameters / MIB,
        gradients_mib=gradients / MIB,
        optimizer_mib=optimizer / MIB,
        activations_mib=activations / MIB,
        workspace_mib=(rest - gradients - activations) / MIB,
        context_mib=process_mib,
        peak_stage="evaluation" if trained == "nothing" else "training",
    )


def _pass(model: Any, ledger: Ledger, shape: tuple[int, int], trained: Trained) -> int:
    """Run two micro-batches, or score one; return what a forward pass keeps for its backward pass."""
    ledger.stage = "training"
    model.requires_grad_(trained == "everything")
    if trained == "extra":  # the first layers may hold some of what is trained
        model.get_input_embeddings().register_forward_hook(lambda _, __, output: output.requires_grad_())
    model.train(trained != "nothing")
    tokens_BT = torch.zeros(shape, dtype=torch.long)
    if trained == "nothing":
        with torch.no_grad():
            _loss(model, tokens_BT)
        return 0
    kept = 0
    for _ in range(2):
        before = ledger.live_bytes
        loss = _loss(model, tokens_BT)
        kept = max(kept, ledger.live_bytes - before)
        loss.backward()
        del loss
    return kept


def _loss(model: Any, tokens_BT: Tensor) -> Tensor:
    logits_BTV = model(input_ids=tokens_BT, use_cache=False).logits
    return nn.functional.cross_entropy(logits_BTV.flatten(0, 1).float(), tokens_BT.flatten())
