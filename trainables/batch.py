"""A batch of token sequences with their targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Inputs and the targets at the same positions (already shifted); -100 marks positions that are not scored."""

    inputs_BT: Tensor
    targets_BT: Tensor
    echo_BT: Tensor | None = None
    """Targets of a published, unshifted loss: the input itself. None: there is no such loss."""

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(*(None if tensor is None else change(tensor) for tensor in self))  # type: ignore[arg-type]

    def part(self, sequences: slice) -> Batch:
        """Return a slice of the sequences."""
        return self._each(lambda tensor: tensor[sequences])

    def split(self, size: int) -> list[Batch]:
        """Return slices of `size` sequences, the last one maybe smaller."""
        return [self.part(slice(start, start + size)) for start in range(0, len(self.inputs_BT), size)]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`."""
        return self._each(lambda tensor: tensor.to(device))


IGNORED = -100
"""Target of a position that is not scored."""
