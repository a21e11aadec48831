"""A causal LM of a Hugging Face type with random weights, drawn from our named streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trainables.architectures.pretrained.fields import UNTRAINED
from trainables.architectures.pretrained.loading import DTYPES
from trainables.randomness import Constant

if TYPE_CHECKING:
    from trainables.architectures.pretrained.config import PretrainedConfig


def build_untrained(config: PretrainedConfig, *, vocab_size: int, max_seq_len: int) -> Any:
    """Return a model of `transformers` in evaluation mode, whose parameters `initialise` draws.

    Raises:
        ValueError: If `parameter_budget` is too small.
    """
    sizes = {"vocab_size": vocab_size, "max_seq_len": max_seq_len}
    model = _build(config, **sizes, ffn_width=_ffn_width(config, **sizes))
    for module in model.modules():
        if not isinstance(module, nn.Linear | nn.Embedding) and any(True for _ in module.parameters(recurse=False)):
            module.initializers = {"weight": Constant(1.0)}  # norms
    return model.eval()


def _build(config: PretrainedConfig, *, vocab_size: int, max_seq_len: int, ffn_width: int) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = config.model.removeprefix(UNTRAINED)
    given = AutoConfig.for_model(
        kind,
        vocab_size=vocab_size,
        hidden_size=config.d_model,
        intermediate_size=ffn_width,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_heads,
        max_position_embeddings=max_seq_len,
        attention_dropout=config.dropout,
        tie_word_embeddings=True,
        sliding_window=None,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        **({"attention_bias": config.bias, "mlp_bias": config.bias} if kind == "llama" else {}),
    )
    return AutoModelForCausalLM.from_config(given, dtype=DTYPES[config.dtype])


def _ffn_width(config: PretrainedConfig, **sizes: int) -> int:
    """Return the hidden width of the feed-forward layers, solved for a parameter budget if there is one."""
    if config.parameter_budget is None:
        return max(1, round(config.ffn_multiplier * config.d_model))
    with torch.device("meta"):
        least, next_one = (_num_parameters(_build(config, **sizes, ffn_width=width)) for width in (1, 2))
    if config.parameter_budget < least:
        raise ValueError(
            f"parameter_budget={config.parameter_budget:,} is too small: this model needs {least:,} at least"
        )
    return 1 + round((config.parameter_budget - least) / (next_one - least))


def _num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
