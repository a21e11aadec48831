"""The resonant block (AFRB): a local mixer, memories, and a gated phase signal.

Shapes: B batch, T positions, D channels. Phases are in radians.

Source:
    attention-free-phase-blocks, src/afrb.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainables.architectures.resonant.block.local_mixers import DepthwiseConv, GatedLinear, PositionwiseMLP
from trainables.architectures.resonant.block.schedule import BlockSchedule
from trainables.architectures.resonant.fields import LocalMixer
from trainables.architectures.resonant.memory.base import Memory, MemoryState
from trainables.architectures.resonant.phase_embedding import PhaseEmbedding
from trainables.layers.mixer import Mixer, MixerOutput
from trainables.randomness import Constant, Initializer


@dataclass(frozen=True, kw_only=True)
class Stillness:
    """A low-pass filter of the phase signal over training forward passes: p ← G·p̄ + (1 − G)·p, off in evaluation.

    p̄ ← (1 − ρ)·p̄ + ρ·p without gradient, G = max(floor, 1 − ρ). So a strongly smoothing filter (small ρ) takes
    nearly all of the signal from earlier batches, and lets almost no gradient through.
    """

    ema: float
    """ρ in (0, 1]."""
    floor: float = 0.0
    """Smallest weight G of the average."""

    @property
    def share(self) -> float:
        """Return G."""
        return max(self.floor, 1 - self.ema)


class StillnessFilter(nn.Module):
    """`Stillness` with its running average, which is reset when the batch's shape changes."""

    def __init__(self, stillness: Stillness) -> None:
        super().__init__()
        self.stillness = stillness
        self.average_BTD: Tensor
        self.register_buffer("average_BTD", torch.zeros(0, 0, 0))
        self.is_filled: Tensor
        self.register_buffer("is_filled", torch.zeros((), dtype=torch.bool))

    def forward(self, x_BTD: Tensor, is_on: Tensor) -> Tensor:
        """Filter `x_BTD` and update the average if the scalar `is_on` is true; otherwise return it unchanged."""
        seen_BTD = x_BTD.detach()
        if self.average_BTD.shape != x_BTD.shape:
            self.average_BTD, self.is_filled = torch.zeros_like(seen_BTD), torch.zeros_like(self.is_filled)
        weight = torch.where(self.is_filled, x_BTD.new_tensor(self.stillness.ema), 1.0)
        average_BTD = torch.lerp(self.average_BTD, seen_BTD, weight)
        self.average_BTD.copy_(torch.where(is_on, average_BTD, self.average_BTD))
        self.is_filled.logical_or_(is_on)
        return torch.where(is_on, torch.lerp(x_BTD, average_BTD, self.stillness.share), x_BTD)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Allocate the average in the shape that is loaded."""
        saved_BTD = state_dict.get(f"{prefix}average_BTD")
        if saved_BTD is not None:
            self.average_BTD = self.average_BTD.new_zeros(saved_BTD.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)


class BlockState(NamedTuple):
    """A block's state after the positions seen so far; its size is constant."""

    position: int
    """Number of positions seen so far."""
    recent_BND: Tensor
    """The mixer's last N inputs, where N is how far it looks back."""
    memories: dict[str, MemoryState]


class BlockOutput(NamedTuple):
    """The result of a resonant block."""

    y_BTD: Tensor
    """Added to the residual stream."""
    traces: dict[str, Tensor]
    """What each memory returns at every position, (B, T, D), by the memory's name."""
    state: BlockState
    """After the last position."""


class AFRBBlock(Mixer):
    """LN(u + γ·ramp·p) with u = memories(mix(LN(x))) and p the phase embedding of LN(x); γ = σ(g) is learned.

    It norms its input itself; the caller adds the residual.

    Args:
        d_model: Width D.
        embedding: The phase signal; None, as a control, also removes the gate.
        gamma: Initial value of the gate γ, in (0, 1). Ignored without an embedding.
        mixer: A gated linear unit, a depthwise convolution over three positions, or, as a control, an MLP.
        causal: Whether the convolution sees only the past.
        memories: Applied in sequence; each transforms the output of the previous one.
        schedule: How the phase signal is ramped up.
        stillness: The filter of the phase signal, or None.
        bias: Biases in the mixer and the norms.
        init_std: Initial standard deviation of the mixer's weights.

    Raises:
        ValueError: If γ is outside (0, 1), or two memories have the same name.
    """

    def __init__(
        self,
        d_model: int,
        *,
        embedding: PhaseEmbedding | None,
        gamma: float,
        mixer: LocalMixer,
        causal: bool,
        memories: Sequence[Memory],
        schedule: BlockSchedule,
        stillness: Stillness | None,
        bias: bool,
        init_std: float,
    ) -> None:
        super().__init__()
        names = [memory.name for memory in memories]
        if len(set(names)) < len(names):
            raise ValueError(f"each memory needs a name of its own, got {names}")
        self.schedule = schedule
        self.norm_in = nn.LayerNorm(d_model, bias=bias)
        self.mixer: GatedLinear | PositionwiseMLP | DepthwiseConv
        match mixer:
            case "glu":
                self.mixer = GatedLinear(d_model, init_std=init_std, bias=bias)
            case "mlp":
                self.mixer = PositionwiseMLP(d_model, init_std=init_std, bias=bias)
            case "conv":
                self.mixer = DepthwiseConv(d_model, causal=causal, init_std=init_std, bias=bias)
        self.memories = nn.ModuleList(memories)
        self.embedding = embedding
        self.initializers: dict[str, Initializer] = {}
        if embedding is not None:
            if not 0 < gamma < 1:
                raise ValueError(f"gamma must be in (0, 1), got {gamma}; for none, leave the embedding out")
            gate_init = math.log(gamma / (1 - gamma))
            self.gate = nn.Parameter(torch.tensor(gate_init))
            self.initializers["gate"] = Constant(gate_init)
        self.stillness = None if stillness is None or embedding is None else StillnessFilter(stillness)
        self.norm_out = nn.LayerNorm(d_model, bias=bias)
        self.step: Tensor
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def _memories(self) -> list[Memory]:
        return [memory for memory in self.memories if isinstance(memory, Memory)]

    def set_step(self, step: int) -> None:
        """Set the ramps to optimiser step `step`, counted from 0, if they count optimiser steps."""
        if self.schedule.counter == "steps":
            self.step.fill_(step)
        if self.embedding is not None:
            self.embedding.confine()

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Transform; time and memory O(T)."""
        return MixerOutput(self.run(x_BTD).y_BTD)

    def run(self, x_BTD: Tensor, state: BlockState | None = None) -> BlockOutput:
        """Transform, and also return the memories' traces and the state.

        Args:
            x_BTD: The input.
            state: Returned by the call on the preceding positions; None at the start of a sequence. In evaluation
                mode a sequence gives the same whether it is passed at once, in pieces or position by position.

        Raises:
            ValueError: If a sequence is continued through a convolution that looks ahead.
        """
        if state is not None and not self.mixer.causal:
            raise ValueError("a sequence cannot be continued through a convolution that is not causal")
        if self.training and self.schedule.counter == "forward_passes":
            self.step += 1
        if state is None:
            state = BlockState(0, x_BTD.new_zeros(x_BTD.shape[0], 0, x_BTD.shape[2]), {})
        num_new = x_BTD.shape[1]
        normed_BTD = self.norm_in(x_BTD)
        seen_BTD = torch.cat((state.recent_BND, normed_BTD), dim=1) if state.recent_BND.shape[1] else normed_BTD
        u_BTD: Tensor = self.mixer(seen_BTD)[:, -num_new:]
        traces, states = {}, {}
        for memory in self._memories():
            u_BTD, traces[memory.name], states[memory.name] = memory.run(u_BTD, state.memories.get(memory.name))
        if self.embedding is not None:
            u_BTD = u_BTD + self.strength().to(u_BTD.dtype) * self._signal(normed_BTD, state.position)
        recent_BND = seen_BTD[:, max(seen_BTD.shape[1] - self.mixer.num_recent, 0) :]
        last = BlockState(state.position + num_new, recent_BND, states)
        return BlockOutput(self.norm_out(u_BTD), traces, last)

    def stream(self, x_BTD: Tensor, state: BlockState | None = None) -> tuple[Tensor, BlockState] | None:
        """Transform from a state on; None with a convolution that looks ahead."""
        if not self.mixer.causal:
            return None
        output = self.run(x_BTD, state)
        return output.y_BTD, output.state

    def _signal(self, normed_BTD: Tensor, start: int) -> Tensor:
        """Return the phase signal p."""
        assert self.embedding is not None
        shift = self.schedule.phase_shift(self.step)
        signal_BTD: Tensor = self.embedding(normed_BTD, phase_shift=shift, start=start)
        if self.stillness is not None and self.training:
            signal_BTD = self.stillness(signal_BTD, self.step >= self.schedule.warm_steps)
        return signal_BTD

    def gamma(self) -> Tensor:
        """Return γ; 0 without a phase signal."""
        return torch.zeros((), device=self.step.device) if self.embedding is None else self.gate.sigmoid()

    def strength(self) -> Tensor:
        """Return γ·ramp, the current factor of the phase signal."""
        return self.gamma() * self.schedule.ramp(self.step)

    def reference(self, x_BTD: Tensor) -> Tensor | None:
        """Transform, using the references of the parts."""
        normed_BTD = self.norm_in(x_BTD)
        u_BTD: Tensor | None = self.mixer.reference(normed_BTD)
        for memory in self._memories():
            if u_BTD is not None:
                u_BTD = memory.reference(u_BTD)
        if u_BTD is None:
            return None
        if self.embedding is not None:
            shift = self.schedule.phase_shift(self.step)
            u_BTD = u_BTD + self.strength() * self.embedding.reference(normed_BTD, phase_shift=shift)
        y_BTD: Tensor = self.norm_out(u_BTD)
        return y_BTD
