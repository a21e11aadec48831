"""Small pretrained models with weights large enough that every part matters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainables.architectures.pretrained.config import PretrainedConfig
from trainables.architectures.pretrained.language_model import PretrainedModel
from trainables.randomness import generator, initialise

VOCAB = 29
SIZES: dict[str, Any] = {"d_model": 24, "num_layers": 2, "num_heads": 3}


@torch.no_grad()
def built(*, max_seq_len: int = 64, **fields: Any) -> PretrainedModel:
    """Return a model in evaluation mode; of one that is read from files only what is added is changed."""
    config = PretrainedConfig(**{**SIZES, **fields})
    model = config.build(vocab_size=VOCAB, max_seq_len=max_seq_len)
    assert isinstance(model, PretrainedModel)
    initialise(model, 0)
    for name, parameter in model.named_parameters():
        if config.is_untrained or "lora" in name:
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator(0, "tests", name)))
    return model.eval()


def tokens(size: int = 2, length: int = 40) -> Tensor:
    return torch.randint(VOCAB, (size, length), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(model: PretrainedModel, tokens_BT: Tensor) -> Tensor:
    return model(tokens_BT).logits_BTV


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, as a fraction of the largest expected value."""
    return float((found - expected).detach().abs().max() / expected.detach().abs().max())
