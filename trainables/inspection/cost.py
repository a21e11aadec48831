"""What a long sequence costs a model that reads it in chunks: time, memory, and the state it carries."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainables.architectures.base.model import LanguageModel
from trainables.worker.peak_memory import PeakMemory

CHUNK = 1024
"""Tokens of one pass."""


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
        for start in range(first, length, chunk):
            place_T = torch.arange(start, min(start + chunk, length), device=device) % len(tokens_T)
            found = model.prefill(tokens_T[place_T][None], state)
            if found is None:
                raise ValueError("this model cannot continue a sequence from a state, so it reads none in chunks")
            state = found[1]
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


def state_bytes(state: Any) -> int:
    """Return the bytes of all tensors that a state holds; a view counts with the whole storage it keeps."""
    storages: dict[int, int] = {}
    waiting, seen = [state], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, nn.Module | type):
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            storages[item.untyped_storage().data_ptr()] = item.untyped_storage().nbytes()
        elif isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
        elif hasattr(item, "__dict__"):
            waiting += vars(item).values()
    return sum(storages.values())
