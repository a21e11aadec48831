"""What it costs a model to read one long text in chunks: speed, memory, and the state that it carries on."""

from __future__ import annotations

import time

import psutil
import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.architectures.base.reading import read_on, state_bytes
from trainables.metric import Metric
from trainables.tasks.text.config import StreamConfig
from trainables.tasks.text.metrics import STREAM_MEASURES, STREAM_STATE
from trainables.units import MIB


class LongStream:
    """Reads a text of `config.length` tokens once.

    Args:
        config: How much, and how.
        tokens_T: The text; read again where it ends.
    """

    def __init__(self, config: StreamConfig, tokens_T: Tensor) -> None:
        self.config, self.tokens_T = config, tokens_T

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Speed and memory, which are measured and vary, and the size of the state, which is counted."""
        where = f"{self.config.length:,} tokens, read {self.config.chunk:,} at a time"
        return tuple(
            Metric(
                name=f"val/{name}",
                unit=unit,
                direction=direction,
                meaning=f"{meaning}; {where}",
                exact=name == STREAM_STATE.name,
            )
            for name, unit, meaning, direction in STREAM_MEASURES
        )

    @torch.no_grad()
    def score(self, model: LanguageModel, device: torch.device) -> dict[str, float]:
        """Read the text.

        Raises:
            ValueError: If the model cannot continue a sequence from a state.
        """
        length, chunk = self.config.length, self.config.chunk
        tokens_T = self.tokens_T.to(device)
        half, state, highest = length // 2, None, 0
        started = time.perf_counter()
        for start, stop in ((0, half), (half, length)):
            started = time.perf_counter()
            for after in read_on(model, tokens_T, state, start=start, stop=stop, chunk=chunk):
                state, highest = after, max(highest, _memory_bytes(device))
        speed = (length - half) / (time.perf_counter() - started)
        values = (float(state_bytes(state)), highest / MIB, speed)
        return {f"val/{measure.name}": value for measure, value in zip(STREAM_MEASURES, values, strict=True)}


def _memory_bytes(device: torch.device) -> int:
    """Return what tensors take on a GPU, or the process in host memory; waits for what the GPU still computes."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return torch.cuda.memory_allocated(device)
    return int(psutil.Process().memory_info().rss)
