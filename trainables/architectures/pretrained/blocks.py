"""The blocks of a Hugging Face model, and the attention in them."""

from __future__ import annotations

from typing import Any

from torch import nn

ATTENTION_NAMES = ("self_attn", "attn", "attention")
BUILT_AS = "GPT-2, GPT-NeoX, Llama, Qwen2 or Mistral"


def blocks_of(source: str, model: Any) -> nn.ModuleList:
    """Return the list of a model's blocks, found by its length and its contents.

    Args:
        source: Name of the model, for the message.
        model: Of `transformers`.

    Raises:
        ValueError: If there is none.
    """
    num_layers = model.config.num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == num_layers and all(map(_has_attention, module)):
            return module
    raise ValueError(
        f"backbone '{source}': {type(model).__name__} has no list of {num_layers} blocks with a module "
        f"{' or '.join(repr(name) for name in ATTENTION_NAMES)} each; choose a causal LM built as {BUILT_AS} are"
    )


def attention_of(block: nn.Module) -> nn.Module:
    """Return the attention of a block."""
    return next(module for name, module in block.named_children() if name in ATTENTION_NAMES)


def width_of(model: Any) -> int:
    """Return the number of channels of a model's residual stream."""
    return int(model.get_input_embeddings().weight.shape[1])


def _has_attention(block: nn.Module) -> bool:
    return any(name in ATTENTION_NAMES for name, _ in block.named_children())
