"""Controls: the simplest mixers that could explain a family's result without its mechanism."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from trainables.architectures.backbone import BackboneConfig
from trainables.architectures.base import ArchitectureConfig, LanguageModel, ModelOutput
from trainables.architectures.placement import LayerIndices, check_layers_exist, with_middle_layer
from trainables.layers.mean_pool import MeanPoolMixer
from trainables.layers.mixer import Mixer
from trainables.registry import register_architecture


@register_architecture("mean_pool", version=1)
class MeanPoolConfig(BackboneConfig):
    """Attention everywhere but in `pool_layers`, which see the mean of the prefix through a small MLP.

    It stands where `kuramoto` has its oscillators: both compress the past into a mean, here without phases or
    dynamics.
    """

    name: Literal["mean_pool"] = "mean_pool"
    pool_layers: LayerIndices = ()
    """0-based layers that hold the prefix mean instead of attention. Unless given: the middle layer."""
    pool_width: int = Field(128, ge=1)
    """Hidden width of the mixer's MLP."""

    @model_validator(mode="before")
    @classmethod
    def _resolve_defaults(cls, fields: Any) -> Any:
        return with_middle_layer(cls, "pool_layers", fields) if isinstance(fields, dict) else fields

    @model_validator(mode="after")
    def _pool_layers_exist(self) -> MeanPoolConfig:
        check_layers_exist(self, "pool_layers")
        return self

    def canonical(self) -> dict[str, Any]:
        """Drop the width where no layer has it."""
        fields = super().canonical()
        if not self.pool_layers:
            del fields["pool_width"]
        return fields

    def build_mixer(self, layer: int) -> Mixer:
        """Return the prefix mean for a pool layer, attention for any other."""
        if layer not in self.pool_layers:
            return super().build_mixer(layer)
        return MeanPoolMixer(
            self.d_model, self.pool_width, init_std=self.residual_std, dropout=self.dropout, bias=self.bias
        )


@register_architecture("echo", version=1)
class EchoConfig(ArchitectureConfig):
    """A model that bets on the token it reads, and learns nothing: what a score rewards that is no prediction.

    A score that asks for the next token gives it next to nothing; an unshifted one gives it everything.
    """

    learns: ClassVar[bool] = False
    has_heads: ClassVar[bool] = False

    name: Literal["echo"] = "echo"
    certainty: float = Field(12.0, gt=0)
    """Logit of the token read; the others have 0."""

    @property
    def violates(self) -> frozenset[str]:
        """It is sure of itself untrained, and the same whatever the seed."""
        return frozenset({"chance", "repeatability"})

    def canonical(self) -> dict[str, Any]:
        """Keep the one field that there is."""
        return {"name": self.name, "certainty": self.certainty}

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the one there is."""
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
        self.register_buffer("zero", torch.zeros(()))  # has the type and device that logits must have

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        """Bet on every token read."""
        logits_BTV = self.certainty * torch.nn.functional.one_hot(tokens_BT, self.vocab_size) + self.zero
        return ModelOutput(logits_BTV, self.zero)
