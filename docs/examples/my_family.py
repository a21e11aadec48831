"""A family of our own: each channel mixes positions by an exponential moving average of its past."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.dimensions import Real
from search_spaces.space import SearchSpace
from trainables.architectures.gpt import BackboneConfig
from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection
from trainables.metric import probe
from trainables.randomness import Constant
from trainables.registry import register_architecture


class EmaMixer(Mixer):
    """y_t = W_out s_t with s_t = a s_{t-1} + (1 - a) W_in x_t; every channel learns its decay a."""

    def __init__(self, d_model: int, *, decay: float, init_std: float, bias: bool) -> None:
        super().__init__()
        self.to_state = nn.Linear(d_model, d_model, bias=bias)
        self.decay_logit_D = nn.Parameter(torch.empty(d_model))
        self.initializers = {"decay_logit_D": Constant(math.log(decay / (1 - decay)))}
        self.out = ResidualProjection(d_model, d_model, init_std=init_std, bias=bias)

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Mix in log2(T) steps: after each, a state holds twice as much of its past."""
        decay_D = self.decay_logit_D.sigmoid()
        state_BTD = (1 - decay_D) * self.to_state(x_BTD)
        span = 1
        while span < x_BTD.shape[1]:
            earlier_BTD = functional.pad(state_BTD, (0, 0, span, 0))[:, :-span]
            state_BTD = state_BTD + decay_D**span * earlier_BTD
            span *= 2
        return MixerOutput(self.out(state_BTD))

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Mix step by step, as the definition says."""
        decay_D = self.decay_logit_D.sigmoid()
        states, state_BD = [], torch.zeros_like(x_BTD[:, 0])
        for input_BD in self.to_state(x_BTD).unbind(1):
            state_BD = decay_D * state_BD + (1 - decay_D) * input_BD
            states.append(state_BD)
        y_BTD: Tensor = self.out(torch.stack(states, 1))
        return y_BTD

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return how far back the average reaches."""
        return {"ema_window": (1 / (1 - self.decay_logit_D.sigmoid())).mean()}


@register_architecture("ema", version=1)
class EmaConfig(BackboneConfig):
    """The shared backbone with an exponential moving average in place of attention."""

    spaces = {"search": SearchSpace({"decay": Real(0.5, 0.99, meaning="Where the weight of the past starts.")})}
    probes = (probe("ema_window", "tokens", "1 / (1 − a), mean over channels and layers"),)

    name: Literal["ema"] = "ema"
    decay: float = Field(0.8, gt=0, lt=1)
    """Weight that a state keeps from one position to the next, at the start of training."""

    def build_mixer(self, layer: int) -> Mixer:
        """Return the same mixer for every layer."""
        return EmaMixer(self.d_model, decay=self.decay, init_std=self.residual_std, bias=self.bias)
