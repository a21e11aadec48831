"""The configurations of the controls, the simplest models that could explain a family's result.

A family with a memory must beat the recurrent ones before its mechanism counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.gpt import BackboneConfig
from trainables.architectures.layer_placement import LayerIndices, check_layers_exist, with_middle_layer
from trainables.registry import register_architecture

if TYPE_CHECKING:
    from trainables.architectures.base.model import LanguageModel
    from trainables.layers.mixer import Mixer


@register_architecture("mean_pool", version=1)
class MeanPoolConfig(BackboneConfig):
    """Attention in all layers except `pool_layers`, which see the mean of the prefix through a small MLP.

    They replace the oscillators of `kuramoto`: both compress the past into a mean, here without phases or
    dynamics.
    """

    name: Literal["mean_pool"] = "mean_pool"
    pool_layers: LayerIndices = ()
    """0-based layers with the prefix mean instead of attention. Default: the middle layer."""
    pool_width: int = Field(128, ge=1)
    """Hidden width of the mixer's MLP."""

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in the middle layer."""
        return with_middle_layer(cls, "pool_layers", super().with_defaults(fields))

    @model_validator(mode="after")
    def _pool_layers_exist(self) -> MeanPoolConfig:
        check_layers_exist(self, "pool_layers")
        return self

    def canonical(self) -> dict[str, Any]:
        """Drop the width if no layer uses it."""
        fields = super().canonical()
        if not self.pool_layers:
            del fields["pool_width"]
        return fields

    def build_mixer(self, layer: int) -> Mixer:
        """Return the prefix mean for a pool layer, attention for any other."""
        if layer not in self.pool_layers:
            return super().build_mixer(layer)
        from trainables.architectures.controls.mean_pool import MeanPoolMixer

        return MeanPoolMixer(
            self.d_model, self.pool_width, init_std=self.residual_std, dropout=self.dropout, bias=self.bias
        )


class RecurrentConfig(BackboneConfig):
    """A recurrent mixer in all layers."""

    has_heads: ClassVar[bool] = False

    state_multiplier: float = Field(1.0, gt=0)
    """Size of a layer's state, as a multiple of `d_model`."""

    @property
    def state_size(self) -> int:
        """Number of real or complex numbers in a layer's state."""
        return max(1, round(self.state_multiplier * self.d_model))

    def canonical(self) -> dict[str, Any]:
        """Drop the size of the state if there is no layer."""
        fields = super().canonical()
        if self.num_layers == 0:
            del fields["state_multiplier"]
        return fields

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the default ones, narrow and with one layer: the slow reference steps through 513 positions."""
        return super().contract_configs(**{"d_model": 8, "num_layers": 1, **sizes})


@register_architecture("gru", version=1)
class GRUConfig(RecurrentConfig):
    """A gated recurrent unit in all layers: a state with token-dependent forgetting."""

    name: Literal["gru"] = "gru"

    def build_mixer(self, layer: int) -> Mixer:
        """Return the GRU, the same in every layer."""
        from trainables.architectures.controls.gru import GRUMixer

        return GRUMixer(
            self.d_model, self.state_size, init_std=self.residual_std, dropout=self.dropout, bias=self.bias
        )


@register_architecture("diagonal_ssm", version=1)
class DiagonalSSMConfig(RecurrentConfig):
    """A diagonal complex state-space model in all layers: trained decays and frequencies, independent of tokens."""

    name: Literal["diagonal_ssm"] = "diagonal_ssm"

    def build_mixer(self, layer: int) -> Mixer:
        """Return the state-space mixer, the same in every layer."""
        from trainables.architectures.controls.diagonal_ssm import DiagonalSSMMixer

        return DiagonalSSMMixer(
            self.d_model, self.state_size, init_std=self.residual_std, dropout=self.dropout, bias=self.bias
        )


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
        from trainables.architectures.controls.echo import EchoModel

        return EchoModel(self.certainty, vocab_size)
