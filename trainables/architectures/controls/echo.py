"""The control that repeats its input, which a leaky metric rewards."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput


class EchoModel(LanguageModel):
    """Logits of `certainty` at the token read, and 0 elsewhere."""

    def __init__(self, certainty: float, vocab_size: int) -> None:
        super().__init__()
        self.certainty, self.vocab_size = certainty, vocab_size
        self.zero: Tensor
        self.register_buffer("zero", torch.zeros(()))  # provides the dtype and device of the logits

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        """Predict every token read."""
        logits_BTV = self.certainty * torch.nn.functional.one_hot(tokens_BT, self.vocab_size) + self.zero
        return ModelOutput(logits_BTV, self.zero)
