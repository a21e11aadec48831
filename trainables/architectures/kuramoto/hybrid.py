"""Oscillators and softmax attention side by side, in fixed shares."""

from __future__ import annotations

from torch import Tensor

from trainables.architectures.kuramoto.mixer import FieldSums, KuramotoMixer
from trainables.layers.attention import CausalSelfAttention, KeyValueCache
from trainables.layers.mixer import Mixer, MixerOutput


class HybridMixer(Mixer):
    """(1 − w) times softmax attention plus w times oscillators, on the same input.

    Args:
        phases: The oscillators; their penalty and their probes are this mixer's.
        attention: The attention; as published not causal.
        phase_weight: w, from 0 to 1.

    Source:
        PhaseGPT, src/phase_attention.py, HybridAttention (w = .5).
    """

    def __init__(self, phases: KuramotoMixer, attention: CausalSelfAttention, phase_weight: float) -> None:
        super().__init__()
        self.phases, self.attention, self.phase_weight = phases, attention, phase_weight

    masks_padding = True

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> MixerOutput:
        """Mix in both ways; time O(T²). Where `real_BT` is false, oscillators pull no others."""
        phased = self.phases(x_BTD, real_BT)
        attended_BTD = self.attention(x_BTD).y_BTD
        return MixerOutput(self._weigh(attended_BTD, phased.y_BTD), phased.penalty)

    def stream(
        self, x_BTD: Tensor, state: tuple[FieldSums, KeyValueCache] | None = None
    ) -> tuple[Tensor, tuple[FieldSums, KeyValueCache]] | None:
        """Mix from the states of both on; None if they are not causal."""
        fields, cache = state or (None, None)
        phased, attended = self.phases.stream(x_BTD, fields), self.attention.stream(x_BTD, cache)
        if phased is None or attended is None:
            return None
        return self._weigh(attended[0], phased[0]), (phased[1], attended[1])

    def _weigh(self, attended_BTD: Tensor, phased_BTD: Tensor) -> Tensor:
        return (1 - self.phase_weight) * attended_BTD + self.phase_weight * phased_BTD

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return the probes of the oscillators."""
        return self.phases.probes(x_BTD)

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Mix from the definitions of both."""
        return self._weigh(self.attention.reference(x_BTD), self.phases.reference(x_BTD))
