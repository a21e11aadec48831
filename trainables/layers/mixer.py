"""What every mixer is: the one part of a block that moves information between positions."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from trainables.randomness import Initializer, Normal


class MixerOutput(NamedTuple):
    """What a mixer returns."""

    y_BTD: Tensor
    """Added to the residual stream."""
    penalty: Tensor | None = None
    """Scalar added to the training loss, in nats a token; None where there is none."""


class Mixer(nn.Module):
    """A module that maps normed x_BTD to `MixerOutput`. Families differ here, and only here."""

    def reference(self, x_BTD: Tensor) -> Tensor | None:
        """Return what `forward` gives as y_BTD in evaluation mode, computed slowly from the definition.

        It uses the same parameters, and is as plain as can be: the contract holds `forward` to it, gradients
        included. None where no such definition is given.
        """
        return None

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Measure the mixer on its input, without noise: scalars, or one number a head (shape H)."""
        return {}


class ResidualProjection(nn.Linear):
    """The last linear layer of a residual branch; its weights start at a std of their own, `init_std`."""

    def __init__(self, in_features: int, out_features: int, *, init_std: float, bias: bool) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.initializers: dict[str, Initializer] = {"weight": Normal(init_std)}
