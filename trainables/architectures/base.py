"""What every architecture is: a configuration that builds a causal language model."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple, Self, get_args

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from trainables.schema import NamedConfig


class ModelOutput(NamedTuple):
    """What a forward pass returns."""

    logits_BTV: Tensor
    """Unnormalised log-probabilities of the next token."""
    penalty: Tensor
    """Scalar added to the training loss (a regulariser), in nats a token; 0 where there is none."""


class LanguageModel(nn.Module):
    """A model that maps tokens_BT to `ModelOutput`; its logits at t may use tokens up to t only."""

    def probes(self, tokens_BT: Tensor) -> dict[str, float]:
        """Measure the model's own order parameters on `tokens_BT`; names as `probe/<name>`."""
        return {}


class ArchitectureConfig(NamedConfig):
    """The fields every family shares, so that a comparison changes one thing."""

    d_model: int = Field(128, ge=1)
    """Width of the residual stream."""
    num_layers: int = Field(4, ge=0)
    num_heads: int = Field(4, ge=1)
    """Heads; must divide `d_model`."""
    ffn_multiplier: float = Field(4.0, gt=0)
    """Hidden width of the feed-forward layers, in units of `d_model`."""
    parameter_budget: int | None = Field(None, ge=1)
    """If set, the feed-forward width is solved so that the model has this many parameters; overrides
    `ffn_multiplier`. This is how arms are parameter-matched."""
    dropout: float = Field(0.0, ge=0, lt=1)
    bias: bool = False
    """Biases in linear layers and norms."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ArchitectureConfig:
        if self.d_model % self.num_heads:
            raise ValueError(f"num_heads={self.num_heads} must divide d_model={self.d_model}")
        return self

    @property
    def violates(self) -> frozenset[str]:
        """Contracts this configuration is *known* to break, such as `causality`; tests demand that it does."""
        return frozenset()

    @property
    def memory_neutral(self) -> frozenset[str]:
        """Fields whose value changes neither shape nor life of any tensor: one estimate serves all values."""
        return frozenset()

    @property
    def microbatch_invariant(self) -> bool:
        """Whether splitting a batch leaves the gradients equal: false with dropout, noise, counters of forward
        passes, a penalty that is no mean over sequences, or sequences that see each other."""
        return self.dropout == 0 and "batch_independence" not in self.violates

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the small configurations that the contract suite checks.

        Every fidelity the class has, each plain and with biases and dropout.

        Args:
            sizes: Other fields, for what `d_model` and the number of layers do not keep small.
        """
        fidelity = cls.model_fields.get("fidelity")
        fidelities = [{"fidelity": value} for value in get_args(fidelity.annotation)] if fidelity else [{}]
        options: list[dict[str, Any]] = [{}, {"bias": True, "dropout": 0.1}]
        return [
            cls.model_validate({"d_model": 16, "num_layers": 2, "num_heads": 2, **sizes, **chosen, **option})
            for chosen in fidelities
            for option in options
        ]

    @abstractmethod
    def build(self, *, vocab_size: int, max_seq_len: int) -> LanguageModel:
        """Build the model with its parameters not yet drawn; `training.randomness.initialise` draws them."""


def count_parameters(config: ArchitectureConfig, *, vocab_size: int, max_seq_len: int) -> int:
    """Return the number of trainable parameters, tied ones once; allocates none of them."""
    with torch.device("meta"):
        model = config.build(vocab_size=vocab_size, max_seq_len=max_seq_len)
    return sum(parameter.numel() for parameter in model.parameters())
