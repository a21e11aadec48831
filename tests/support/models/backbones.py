"""Small random Hugging Face models of five families, saved as pretrained ones are, with an adapter in front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, LlamaConfig, MistralConfig, Qwen2Config

from trainables.architectures.pretrained.model import HuggingFaceBackbone, load_backbone

VOCAB, POSITIONS, WIDTH = 60, 24, 32
SHARED: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
    "max_position_embeddings": POSITIONS,
}
CONFIGS: dict[str, Any] = {
    "gpt2": GPT2Config(
        n_embd=WIDTH, n_layer=2, n_head=2, vocab_size=VOCAB, n_positions=POSITIONS, bos_token_id=1, eos_token_id=1
    ),
    "gpt_neox": GPTNeoXConfig(**{name: SHARED[name] for name in SHARED if name != "num_key_value_heads"}),
    "llama": LlamaConfig(**SHARED),
    "qwen2": Qwen2Config(**SHARED, tie_word_embeddings=True),
    "mistral": MistralConfig(**SHARED, sliding_window=6),
}
FAMILIES = list(CONFIGS)
MOST_FAMILIES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in {"qwen2", "mistral"} else []) for name in CONFIGS
]
"""Those that are built as Llama is, only where there is time."""
QUANTISED = ["8bit", "4bit"]


def save_backbones(root: Path) -> dict[str, Path]:
    """Save a random model of each family, with weights large enough that every part matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, config in CONFIGS.items():
            model = AutoModelForCausalLM.from_config(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.1)
            model.save_pretrained(root / name)
    return {name: root / name for name in CONFIGS}


def load(folder: Path, **options: Any) -> HuggingFaceBackbone:
    return load_backbone(f"hf:{folder}", **{"vocab_size": VOCAB, "max_seq_len": POSITIONS, **options})


def tokens(size: int = 2, length: int = 12) -> Tensor:
    return torch.randint(VOCAB, (size, length), generator=torch.Generator().manual_seed(1))


def logits(backbone: HuggingFaceBackbone, tokens_BT: Tensor, adapter: nn.Module | None = None) -> Tensor:
    x_BTD = backbone.embed(tokens_BT)
    logits_BTV: Tensor = backbone.head(backbone.transform(x_BTD if adapter is None else x_BTD + adapter(x_BTD)))
    return logits_BTV


def adapter() -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return nn.Linear(WIDTH, WIDTH)


class Injected(nn.Module):
    """A backbone with something trained behind its embedding."""

    def __init__(self, backbone: HuggingFaceBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.adapter = adapter()

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return logits(self.backbone, tokens_BT, self.adapter)

    def gradients(self, tokens_BT: Tensor) -> dict[str, Tensor]:
        self.zero_grad()
        self(tokens_BT).logsumexp(-1).sum().backward()
        return {name: value.grad.clone() for name, value in self.named_parameters() if value.grad is not None}
