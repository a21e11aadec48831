"""The backbone, which also measures its encoding of positions."""

from __future__ import annotations

from torch import Tensor

from trainables.architectures.gpt.model import BackboneModel
from trainables.architectures.pi_spiral.config import PiSpiralConfig
from trainables.diagnostics.probes import encoding_probes


class PiSpiralModel(BackboneModel):
    """A π-spiral model; its layers do everything but this."""

    def __init__(self, config: PiSpiralConfig, *, vocab_size: int, max_seq_len: int) -> None:
        super().__init__(config, vocab_size=vocab_size, max_seq_len=max_seq_len)
        self.encoding, self.head_width = config.encoding, config.d_model // config.num_heads

    def probes(self, tokens_BT: Tensor) -> dict[str, float]:
        """Measure every layer on `tokens_BT`, and the encoding in closed form."""
        return super().probes(tokens_BT) | encoding_probes(self.encoding, self.head_width)
