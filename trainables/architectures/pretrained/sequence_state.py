"""What a Hugging Face model keeps of the tokens of a sequence that it has read."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainables.architectures.pretrained.attention import WINDOW
from trainables.layers.decayed_sum import ScanState

_CARRIED = "phasesweep_carried"
"""Attribute of a cache."""


@dataclass(frozen=True, kw_only=True)
class SequenceState:
    """The state after the tokens read so far. It never changes: to read on makes another, and it can be read on
    from again and again."""

    num_read: int
    """Tokens of each sequence, padding included."""
    first_position: int
    """Position of the first token that is no padding."""
    padding_B: Tensor | None
    """Tokens of padding before each sequence; None: none."""
    cache: Any
    """Keys and values, and what adapters keep; of `transformers`."""

    def __deepcopy__(self, _: dict[int, Any]) -> SequenceState:
        return self

    def after(self, num_tokens: int, cache: Any) -> SequenceState:
        """Return the state after `num_tokens` more, which are in `cache`."""
        return replace(self, num_read=self.num_read + num_tokens, cache=cache)

    def positions(self, tokens_BT: Tensor) -> Tensor:
        """Return the positions of the tokens that come next: (1, T), or (B, T) with padding."""
        column_1T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device).unsqueeze(0) + self.num_read
        if self.padding_B is not None:
            column_1T = (column_1T - self.padding_B.unsqueeze(1)).clamp(min=0)
        return column_1T + self.first_position

    def mask(self, tokens_BT: Tensor) -> Tensor | None:
        """Return which tokens are no padding, those that come next included: (B, all); None if there is none."""
        if self.padding_B is None:
            return None
        column_S = torch.arange(self.num_read + tokens_BT.shape[1], device=tokens_BT.device)
        return column_S >= self.padding_B.unsqueeze(1)


@dataclass
class CarriedStates:
    """What attractors keep beside keys and values."""

    first_position: int = 0
    """Of the sequence."""
    of_module: dict[nn.Module, ScanState] = field(default_factory=dict)


def carried_states(cache: Any) -> CarriedStates:
    """Return what is carried with a cache; `transformers` itself makes those of sequences from position 0 on."""
    found: CarriedStates = vars(cache).setdefault(_CARRIED, CarriedStates())
    return found


def nothing_read(model: Any, *, first_position: int = 0, padding_B: Tensor | None = None) -> SequenceState:
    """Return the state before the first token.

    Args:
        model: Of `transformers`.
        first_position: Position of the first token that is no padding.
        padding_B: Tokens of padding before each sequence; None: none.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicSlidingWindowLayer

    cache = DynamicCache(config=model.config)
    window = getattr(model.config, WINDOW, None)
    if window is not None:
        own = [getattr(layer, "sliding_window", window) for layer in cache.layers]
        cache.layers = [DynamicSlidingWindowLayer(min(window, made_for)) for made_for in own]
    carried_states(cache).first_position = first_position
    return SequenceState(num_read=0, first_position=first_position, padding_B=padding_B, cache=cache)


def own_copy(cache: Any) -> Any:
    """Return a cache that may be read on into without changing the given one; tensors are shared."""
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    carried = carried_states(cache)
    setattr(copied, _CARRIED, replace(carried, of_module=dict(carried.of_module)))
    return copied
