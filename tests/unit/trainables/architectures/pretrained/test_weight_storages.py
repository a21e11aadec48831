"""Hugging Face models in 16, 8 and 4 bits: their weights to the byte, against real ones quantised here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GPT2Config, LlamaConfig

from tests.support.models.weight_storages import Quantization, weight_storages

GPT2 = GPT2Config(
    n_embd=72, n_layer=2, n_head=2, vocab_size=500, n_positions=64, bos_token_id=1, eos_token_id=1
)  # the head is the embedding; layers are Conv1D, with biases
LLAMA = LlamaConfig(
    hidden_size=64,
    intermediate_size=176,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=500,
    max_position_embeddings=64,
)


def quantized(config: Any, folder: Path, **asked: Any) -> Any:
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    asked = {"bnb_4bit_compute_dtype": torch.bfloat16, **asked}
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=BitsAndBytesConfig(**asked), device_map="cpu", dtype=torch.bfloat16
    )


def real_bytes(model: Any) -> int:
    """Return the bytes of every distinct storage behind parameters, buffers, and what weights are read with."""
    tensors: list[Tensor] = [*model.parameters(), *model.buffers()]
    for parameter in model.parameters():
        tensors += [value for value in [getattr(parameter, "SCB", None)] if value is not None]
        state = getattr(parameter, "quant_state", None)
        while state is not None:
            tensors += [value for value in (state.absmax, state.code, state.offset) if isinstance(value, Tensor)]
            state = state.state2
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


@pytest.mark.parametrize("config", [GPT2, LLAMA], ids=["gpt2", "llama"])
@pytest.mark.parametrize(
    ("quantization", "nested", "asked"),
    [
        ("8bit", False, {"load_in_8bit": True}),
        ("4bit", False, {"load_in_4bit": True}),
        ("4bit", True, {"load_in_4bit": True, "bnb_4bit_use_double_quant": True}),
    ],
)
def test_quantized_weights_are_counted_to_the_byte(
    config: Any, quantization: Quantization, nested: bool, asked: dict[str, Any], tmp_path: Path
) -> None:
    found = weight_storages(config, quantization=quantization, nested=nested)
    assert found.total == real_bytes(quantized(config, tmp_path, **asked))
    whole = weight_storages(config, quantization="none")
    assert whole.quantized == () and whole.total > found.total


def test_a_model_in_16_bits_is_its_parameters_and_buffers() -> None:
    model = AutoModelForCausalLM.from_config(LLAMA, dtype=torch.bfloat16)
    assert weight_storages(LLAMA, quantization="none").total == real_bytes(model)


def test_a_large_model_costs_nothing_to_count() -> None:
    config = LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=4, vocab_size=32000)
    bits = {name: weight_storages(config, quantization=name).total for name in ("none", "8bit", "4bit")}
    layers = 4 * (4 * 4096**2 + 3 * 4096 * 11008)
    kept = bits["none"] - 2 * layers
    assert bits["8bit"] - kept == pytest.approx(layers, rel=0.001)
    assert bits["4bit"] - kept == pytest.approx(layers * (0.5 + 4 / 64), rel=0.001)
