"""What a long sequence costs a model that reads it in chunks: time, memory, and the state it carries."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.architectures.base.reading import CHUNK, read_on, state_bytes
from trainables.worker.peak_memory import PeakMemory


@dataclass(frozen=True)
class LengthCost:
    """What has been spent when so many tokens have been read."""

    length: int
    seconds: float
    """Since the first token."""
    tokens_per_second: float
    """Since the length before."""
    peak_memory_mib: float
    """The highest so far, of the process or of the GPU."""
    state_bytes: int
    """What is carried from one pass to the next."""


@torch.no_grad()
def cost_by_length(
    model: LanguageModel, tokens_T: Tensor, lengths: Sequence[int], *, max_seconds: float, chunk: int = CHUNK
) -> Iterator[LengthCost]:
    """Read one sequence, and yield what has been spent at each length that is reached in time.

    Args:
        model: In evaluation mode.
        tokens_T: Tokens on the model's device, read again and again if they are fewer than the lengths.
        lengths: Ascending.
        max_seconds: Stops before a length that would take more, going by the speed of the last one.
        chunk: Tokens of one pass.

    Raises:
        ValueError: If the model cannot continue a sequence from a state.
    """
    device = tokens_T.device
    memory = PeakMemory(device.type)
    state: Any = None
    last: LengthCost | None = None
    for length in lengths:
        if last is not None and last.seconds + _forecast(last, length) > max_seconds:
            return
        first = 0 if last is None else last.length
        started = time.perf_counter()
        for after in read_on(model, tokens_T, state, start=first, stop=length, chunk=chunk):
            state = after
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = max(time.perf_counter() - started, 1e-9)
        last = LengthCost(
            length=length,
            seconds=seconds + (0.0 if last is None else last.seconds),
            tokens_per_second=(length - first) / seconds,
            peak_memory_mib=memory.mib(),
            state_bytes=state_bytes(state),
        )
        yield last


def _forecast(last: LengthCost, length: int) -> float:
    """Return the seconds to `length`, if a token takes as much longer as the sequence is."""
    return (length - last.length) / last.tokens_per_second * length / last.length
