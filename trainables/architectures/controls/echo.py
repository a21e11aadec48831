"""The control that repeats its input, which a leaky metric rewards."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from trainables.architectures.base import ArchitectureConfig, LanguageModel, ModelOutput
from trainables.registry import register_architecture


@register_architecture("echo", version=1)
class EchoConfig(ArchitectureConfig):
    """An untrained model that predicts the token it reads: it reveals scores that do not measure prediction.

    A score of the next token gives it almost nothing; an unshifted score gives it everything.
    """

    learns: ClassVar[bool] = False
    has_heads: ClassVar[bool] = False

    name: Literal["echo"] = "echo"
    certainty: float = Field(12.0, gt=0)
    """Logit of the token read; all others have 0."""

    @property
    def violates(self) -> frozenset[str]:
        """It is confident without training, and the same for every seed."""
        return frozenset({"chance", "repeatability"})

    def canonical(self) -> dict[str, Any]:
        """Keep the only field that matters."""
        return {"name": self.name, "certainty": self.certainty}

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the only configuration."""
        return [cls()]

    def build(self, *, vocab_size: int, max_seq_len: int) -> LanguageModel:
        """Build the model."""
        return EchoModel(self.certainty, vocab_size)


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
