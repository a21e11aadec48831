"""What a memory is: a mixer with a state of constant size, which shows what it remembers at every position."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.layers.mixer import Mixer, MixerOutput


class MemoryState(NamedTuple):
    """What the past leaves behind: enough to go on as if the whole sequence were given."""

    memory_BD: Tensor
    """The memory after the last position, before it is turned for reading; float32 or wider."""
    position: int
    """Number of positions written so far."""
    recent_BND: Tensor | None = None
    """The last N inputs, where local attention sees them again; None elsewhere."""

    @property
    def num_bytes(self) -> int:
        """Return what the state takes, in bytes."""
        return sum(part.numel() * part.element_size() for part in self if isinstance(part, Tensor))


class MemoryOutput(NamedTuple):
    """What a memory returns for a sequence."""

    y_BTD: Tensor
    """The input plus what is read."""
    trace_BTD: Tensor
    """What the memory says at every position, before its gate; float32 or wider."""
    state: MemoryState
    """After the last position."""


class MemoryStep(NamedTuple):
    """What a memory returns for one position."""

    y_BD: Tensor
    trace_BD: Tensor
    state: MemoryState


class Memory(Mixer):
    """A mixer whose forward pass is `run` without its trace and state."""

    name: ClassVar[str]
    """Under which its trace is known."""

    @abstractmethod
    def run(self, x_BTD: Tensor, state: MemoryState | None = None) -> MemoryOutput:
        """Write and read at every position.

        Args:
            x_BTD: The input.
            state: What the call on the preceding positions returned; None at the start of a sequence.
        """

    @abstractmethod
    def state_bytes(self, batch_size: int, dtype: torch.dtype = torch.float32) -> int:
        """Return the largest size of the state in bytes, whatever the length, for inputs of `dtype`."""

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Mix; time and memory O(T)."""
        return MixerOutput(self.run(x_BTD).y_BTD)

    def step(self, x_BD: Tensor, state: MemoryState | None = None) -> MemoryStep:
        """Write and read one position, in time and memory that do not grow with the position.

        Position by position this gives what `run` gives at once. For evaluation mode: in training every call
        counts as a forward pass of its own.
        """
        output = self.run(x_BD.unsqueeze(1), state)
        return MemoryStep(output.y_BTD.squeeze(1), output.trace_BTD.squeeze(1), output.state)
