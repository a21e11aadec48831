"""Controls with a recurrent state: what a family with a memory must beat before its mechanism counts."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field

from trainables.architectures.gpt import BackboneConfig


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
