"""The blocks of a Hugging Face model, and the attention in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

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


def recompute(block: nn.Module) -> None:
    """Have the backward pass compute a block anew, instead of keeping what its forward pass made."""
    block.forward = _ComputedAnew(block.forward)  # wraps the method, so that parameter names stay


class _ComputedAnew:
    """Calls a block's forward pass such that the backward pass recomputes it."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled():
            return checkpoint(self.forward, *args, use_reentrant=False, **kwargs)
        return self.forward(*args, **kwargs)
