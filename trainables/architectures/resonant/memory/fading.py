"""What both memories do with T2 decay and the PCM offset.

Shapes: B batch, T positions, D channels.
"""

from __future__ import annotations

from torch import Tensor

from trainables.architectures.resonant.memory.base import Memory
from trainables.architectures.resonant.memory.decay import PhaseChangeOffset, T2Decay


class FadingMemory(Memory):
    """A memory whose constant decay T2 may replace, and to whose reads PCM may add an offset."""

    t2: T2Decay | None
    pcm: PhaseChangeOffset | None
    passes: Tensor
    """Training forward passes so far, the current one included, if any result depends on them."""

    @property
    def stateful(self) -> bool:
        """Whether a training forward pass affects later ones: then no batch may be split or rerun."""
        return self.t2 is not None and self.t2.published and self.t2.fades_read

    def count_pass(self) -> None:
        """Count a training forward pass, before it computes."""
        if self.training and self.stateful:
            self.passes += 1

    def t2_now(self) -> T2Decay | None:
        """Return the T2 decay if it applies in the current mode."""
        return None if self.t2 is None or (self.t2.published and not self.training) else self.t2

    def faded(self, read_BTD: Tensor, local_T: Tensor) -> Tensor:
        """Return what is read at positions `local_T`, counted from 1, after T2 decay and with the PCM offset."""
        t2 = self.t2_now()
        if t2 is not None and t2.fades_read:
            time_T = local_T + self.passes + 1 if t2.published else local_T
            read_BTD = t2.decay(time_T).to(read_BTD.dtype).unsqueeze(-1) * read_BTD
        if self.pcm is not None and (self.training or not self.pcm.published):
            read_BTD = read_BTD + self.pcm()
        return read_BTD
