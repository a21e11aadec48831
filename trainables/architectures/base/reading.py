"""Reading one long sequence in chunks, with the model's state carried on, and the size of that state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainables.architectures.base.model import LanguageModel

CHUNK = 1024
"""Tokens of one pass."""


@torch.no_grad()
def read_on(
    model: LanguageModel, tokens_T: Tensor, state: Any, *, start: int, stop: int, chunk: int = CHUNK
) -> Iterator[Any]:
    """Read the tokens from position `start` on, and yield the state after every chunk.

    Args:
        model: In evaluation mode.
        tokens_T: On the model's device; read again from their beginning where they end.
        state: After the tokens before `start`; None at the beginning.
        start: Position of the first token to read.
        stop: Position behind the last.
        chunk: Tokens of one pass.

    Raises:
        ValueError: If the model cannot continue a sequence from a state.
    """
    for first in range(start, stop, chunk):
        place_T = torch.arange(first, min(first + chunk, stop), device=tokens_T.device) % len(tokens_T)
        found = model.prefill(tokens_T[place_T].long()[None], state)
        if found is None:
            raise ValueError("this model cannot continue a sequence from a state, so it reads none in chunks")
        state = found[1]
        yield state


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
