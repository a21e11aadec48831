"""Controls with a recurrent state: what a family with a memory must beat before its mechanism counts."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from trainables.architectures.backbone import BackboneConfig
from trainables.layers.diagonal_ssm import DiagonalSSMMixer
from trainables.layers.gru import GRUMixer
from trainables.layers.mixer import Mixer
from trainables.registry import register_architecture


class RecurrentConfig(BackboneConfig):
    """A recurrent mixer in all layers."""

    has_heads: ClassVar[bool] = False

    state_multiplier: float = Field(1.0, gt=0)
    """Size of the state of a layer, in units of `d_model`."""

    @property
    def state_size(self) -> int:
        """Numbers, or complex numbers, in the state of a layer."""
        return max(1, round(self.state_multiplier * self.d_model))

    def canonical(self) -> dict[str, Any]:
        """Drop the size of the state where no layer has one."""
        fields = super().canonical()
        if self.num_layers == 0:
            del fields["state_multiplier"]
        return fields

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the default ones, narrow and in one layer: the slow reference steps through 513 positions."""
        return super().contract_configs(**{"d_model": 8, "num_layers": 1, **sizes})


@register_architecture("gru", version=1)
class GRUConfig(RecurrentConfig):
    """A gated recurrent unit in all layers: a state whose forgetting each token decides."""

    name: Literal["gru"] = "gru"

    def build_mixer(self, layer: int) -> Mixer:
        """Return the unit, the same in every layer."""
        return GRUMixer(
            self.d_model, self.state_size, init_std=self.residual_std, dropout=self.dropout, bias=self.bias
        )


@register_architecture("diagonal_ssm", version=1)
class DiagonalSSMConfig(RecurrentConfig):
    """A diagonal complex state-space model in all layers: trained decays and frequencies, of no token."""

    name: Literal["diagonal_ssm"] = "diagonal_ssm"

    def build_mixer(self, layer: int) -> Mixer:
        """Return the model, the same in every layer."""
        return DiagonalSSMMixer(
            self.d_model, self.state_size, init_std=self.residual_std, dropout=self.dropout, bias=self.bias
        )
