"""The interface of a mixer: the only part of a block that moves information between positions."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from trainables.randomness import Initializer, Normal


class MixerOutput(NamedTuple):
    """The result of a mixer."""

    y_BTD: Tensor
    """Added to the residual stream."""
    penalty: Tensor | None = None
    """Scalar added to the training loss, in nats a token; None if there is none."""


class Mixer(nn.Module):
    """A module that maps normed x_BTD to `MixerOutput`. Families differ only in their mixers."""

    masks_padding: ClassVar[bool] = False
    """Whether `forward` takes a second argument real_BT, false at padding; see `BackboneConfig.masked_token`."""

    def reference(self, x_BTD: Tensor) -> Tensor | None:
        """Return the y_BTD of `forward` in evaluation mode, computed slowly from the definition.

        It uses the same parameters and should be as simple as possible: the contract compares `forward` with it,
        gradients included. None if there is no such definition.
        """
        return None

    def stream(self, x_BTD: Tensor, state: Any = None) -> tuple[Tensor, Any] | None:
        """Return the y_BTD of `forward` at positions that continue a sequence, and the state after the last one.

        Args:
            x_BTD: The new positions; at least one.
            state: The second result of the call on the preceding positions; None at the start of a sequence.

        Returns:
            None if a sequence cannot be continued from a state.
        """
        return None

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Measure the mixer on its input, without noise: scalars, or one number a head (shape H)."""
        return {}


class ResidualProjection(nn.Linear):
    """The last linear layer of a residual branch, with its own initial standard deviation, `init_std`."""

    def __init__(self, in_features: int, out_features: int, *, init_std: float, bias: bool) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.initializers: dict[str, Initializer] = {"weight": Normal(init_std)}
