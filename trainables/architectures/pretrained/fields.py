"""The choices for a pretrained model; read without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trainables.layers.encodings.fields import ConstantName, EncodingConfig
from trainables.schema import Schema

Quantisation = Literal["none", "8bit", "4bit"]

Dtype = Literal["float32", "bfloat16"]

LIBRARIES_MIB = 150.0
"""Growth of a process when it imports a causal LM of transformers 5.23, as measured on Linux: 149."""

LORA_LIBRARIES_MIB = 55.0
"""Growth beyond that when `peft` 0.21 is imported, as measured on Linux: 54.8."""

UNTRAINED = "untrained:"
"""Before the name of a model type: a model of that type with random weights, of the configuration's own sizes."""

Trained = Literal["nothing", "lora", "query_key", "everything"]
"""Which weights are trained: none; low-rank additions to projections (LoRA); the projections to queries and keys;
or all."""

Projection = Literal["q", "k", "v", "o"]


@contextmanager
def said_of_model() -> Iterator[None]:
    """Let messages about a source's files name the field `model`, where they speak of a `backbone`."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("backbone '", "model '", 1)) from error


class SwappedEncoding(EncodingConfig):
    """How a pretrained model's attention learns of positions, instead of as it was trained."""

    base: float | None = Field(None, gt=1)  # type: ignore[assignment]
    """Base of RoPE's frequencies. None: the model's own."""

    @model_validator(mode="after")
    def _can_be_swapped(self) -> SwappedEncoding:
        if self.scheme in ("learned", "sinusoidal"):
            raise ValueError(
                f"scheme={self.scheme} adds vectors to the embedding that the pretrained weights have never seen: "
                "choose another scheme, or `adapter` for vectors in the last layers; a model trained with them "
                "from scratch is the architecture pi_spiral"
            )
        if self.is_hybrid and self.applied == "added":
            raise ValueError(
                f"applied=added with scheme={self.scheme} adds to queries and keys, which is not offered for "
                "pretrained models: set applied=rotary, or choose the architecture pi_spiral"
            )
        return self

    def canonical(self) -> dict[str, Any]:
        """Return the fields that have an effect; a model's own base is part of the model."""
        fields = super().canonical()
        if self.base is None:
            fields.pop("base", None)
        return fields

    def with_base(self, own: float) -> EncodingConfig:
        """Return the encoding for a model whose own base is `own`."""
        return EncodingConfig.model_validate({**self.model_dump(), "base": self.base or own})


class AdapterConfig(Schema):
    """The published adapter: the spiral as a vector, added to the hidden states that enter the last layers. The
    model's own positions stay."""

    last_layers: int = Field(4, ge=1)
    """How many."""
    constant: ConstantName = "pi"
    """As in `encoding`."""
    rates: Literal["one", "multiples"] = "one"
    """As in `encoding`."""
    phase_precision: Literal["exact", "float32"] = "exact"
    """As in `encoding`."""
    positions: Literal["sequence", "pass"] = "sequence"
    """What positions count: the tokens of the sequence, or, as published, those of a forward pass, so that they
    start again at 0 with every token that is generated from a cache."""

    @property
    def encoding(self) -> EncodingConfig:
        """The encoding of the vector."""
        return EncodingConfig(
            scheme="spiral",
            applied="added",
            constant=self.constant,
            rates=self.rates,
            phase_precision=self.phase_precision,
        )

    def canonical(self) -> dict[str, Any]:
        """Return the fields that have an effect."""
        encoding = self.encoding.canonical()
        own: dict[str, Any] = self.model_dump(mode="json")
        return {name: value for name, value in own.items() if name in (*encoding, "last_layers", "positions")}


class LoraConfig(Schema):
    """Low-rank additions to the projections of attention: W + (α / r) B A, with A and B trained and W kept.

    Source:
        Hu et al. (2021), "LoRA: Low-rank adaptation of large language models".
    """

    rank: int = Field(8, ge=1)
    """r."""
    alpha: float = Field(16.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    """Of the input of A, in training."""
    projections: tuple[Projection, ...] = Field(("q", "k", "v", "o"), strict=False, min_length=1)
    """To queries, keys and values, and the one of attention's output."""

    @field_validator("projections")
    @classmethod
    def _each_once_in_order(cls, value: tuple[Projection, ...]) -> tuple[Projection, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"names a projection twice: {', '.join(value)}")
        return tuple(sorted(value, key="qkvo".index))
