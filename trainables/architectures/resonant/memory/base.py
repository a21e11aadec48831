"""The interface of a memory: a mixer with a state of constant size and an output (trace) at every position."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.layers.mixer import Mixer, MixerOutput


class MemoryState(NamedTuple):
    """A memory's state after some positions: enough to continue as if the whole sequence were passed at once."""

    memory_BD: Tensor
    """The memory after the last position, before it is rotated for reading; float32 or wider."""
    position: int
    """Number of positions written so far."""
    recent_BND: Tensor | None = None
    """The last N inputs, if local attention needs them; otherwise None."""

    @property
    def num_bytes(self) -> int:
        """Return the size of the state in bytes."""
        return sum(part.numel() * part.element_size() for part in self if isinstance(part, Tensor))


class MemoryOutput(NamedTuple):
    """A memory's result for a sequence."""

    y_BTD: Tensor
    """The input plus what is read."""
    trace_BTD: Tensor
    """What is read at every position, before the gate; float32 or wider."""
    state: MemoryState
    """After the last position."""


class MemoryStep(NamedTuple):
    """A memory's result for one position."""

    y_BD: Tensor
    trace_BD: Tensor
    state: MemoryState


class Memory(Mixer):
    """A mixer whose forward pass is `run` without trace and state."""

    name: ClassVar[str]
    """Key of its trace."""

    @abstractmethod
    def run(self, x_BTD: Tensor, state: MemoryState | None = None) -> MemoryOutput:
        """Write and read at every position.

        Args:
            x_BTD: The input.
            state: Returned by the call on the preceding positions; None at the start of a sequence.
        """

    @abstractmethod
    def state_bytes(self, batch_size: int, dtype: torch.dtype = torch.float32) -> int:
        """Return the largest size of the state in bytes, whatever the length, for inputs of `dtype`."""

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Mix; time and memory O(T)."""
        return MixerOutput(self.run(x_BTD).y_BTD)

    def step(self, x_BD: Tensor, state: MemoryState | None = None) -> MemoryStep:
        """Write and read one position, in time and memory independent of the position.

        Position by position this gives the same as `run` at once. For evaluation mode: in training every call
        counts as a separate forward pass.
        """
        output = self.run(x_BD.unsqueeze(1), state)
        return MemoryStep(output.y_BTD.squeeze(1), output.trace_BTD.squeeze(1), output.state)
