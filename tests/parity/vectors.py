"""The golden vectors: arrays by name, with the names of the published modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parents[1] / "fixtures" / "parity"


class Vectors(Mapping[str, Tensor]):
    """The arrays of one file."""

    def __init__(self, name: str) -> None:
        with np.load(FOLDER / f"{name}.npz") as arrays:
            self._arrays = {key: torch.from_numpy(arrays[key].copy()) for key in arrays.files}

    def __getitem__(self, key: str) -> Tensor:
        return self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Return the arrays below `prefix`, named by what follows it."""
        return {key.removeprefix(prefix): value for key, value in self.items() if key.startswith(prefix)}


Target = tuple[str, Callable[[Tensor], Tensor]]
"""The name of a parameter of ours, and what makes its value of the published one."""


def as_it_is(value: Tensor) -> Tensor:
    """Return the published value unchanged."""
    return value


def transposed(value: Tensor) -> Tensor:
    """Return the published matrix with rows and columns exchanged."""
    return value.mT


def ours_of(published: Mapping[str, Tensor], names: Mapping[str, Target]) -> dict[str, Tensor]:
    """Return published parameters or gradients under our names; names without a counterpart are an error."""
    return {names[name][0]: names[name][1](value) for name, value in published.items()}


def load_exactly(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Set every parameter of `module`, and no other, to `values`."""
    own = dict(module.named_parameters())
    assert own.keys() == values.keys(), f"without counterpart: {sorted(own.keys() ^ values.keys())}"
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value)


def difference(ours: Tensor | None, theirs: Tensor) -> float:
    """Return the largest absolute difference; a gradient that we lack counts as 0."""
    return float((theirs if ours is None else ours.detach() - theirs).abs().max())
