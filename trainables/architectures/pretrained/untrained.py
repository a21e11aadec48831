"""A causal LM of a Hugging Face type with random weights, drawn from our named streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from trainables.architectures.pretrained.fields import UNTRAINED
from trainables.architectures.pretrained.loading import DTYPES
from trainables.randomness import Constant

if TYPE_CHECKING:
    from trainables.architectures.pretrained.config import PretrainedConfig


def build_untrained(config: PretrainedConfig, *, vocab_size: int, max_seq_len: int) -> Any:
    """Return a model of `transformers` in evaluation mode, whose parameters `initialise` draws."""
    from transformers import AutoConfig, AutoModelForCausalLM

    given = AutoConfig.for_model(
        config.model.removeprefix(UNTRAINED),
        vocab_size=vocab_size,
        hidden_size=config.d_model,
        intermediate_size=max(1, round(config.ffn_multiplier * config.d_model)),
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
        **({"attention_bias": config.bias, "mlp_bias": config.bias} if config.model == f"{UNTRAINED}llama" else {}),
    )
    model = AutoModelForCausalLM.from_config(given, dtype=DTYPES[config.dtype])
    for module in model.modules():
        if not isinstance(module, nn.Linear | nn.Embedding) and any(True for _ in module.parameters(recurse=False)):
            module.initializers = {"weight": Constant(1.0)}  # norms
    return model.eval()
