"""Controls with a recurrent state: a family with a memory must beat them before its mechanism counts."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field

from trainables.architectures.gpt import BackboneConfig


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
