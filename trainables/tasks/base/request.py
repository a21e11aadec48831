"""What of a task's held-out data is scored, and how."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn

from trainables.metric import Split


@dataclass(frozen=True)
class EvaluationRequest:
    """A split of a task to score, whole or in part."""

    split: Split
    device: torch.device
    """Where the model is."""
    max_sequences: int | None = None
    """Score only this many evenly spaced sequences; None: all."""
    batch_size: int = 64
    """Most sequences in one forward pass."""

    @property
    def is_whole(self) -> bool:
        """Whether all of the split is scored."""
        return self.max_sequences is None

    @property
    def prefix(self) -> str:
        """What metrics' names begin with; a score of a part is never mistaken for the full one."""
        return self.split if self.is_whole else f"{self.split}_subset"

    def check(self, model: nn.Module, splits: Collection[Split], *, fix: str) -> None:
        """Refuse an evaluation whose result would be misleading.

        Args:
            model: What is scored.
            splits: The splits that exist.
            fix: How to get the missing split, for the message.

        Raises:
            ValueError: If the model is in training mode, the split does not exist, or a size is below 1.
        """
        if model.training:
            raise ValueError("evaluate needs a model in evaluation mode; call model.eval() first")
        if self.split not in splits:
            raise ValueError(f"there is no {self.split} split; {fix}")
        if self.batch_size < 1 or (self.max_sequences is not None and self.max_sequences < 1):
            raise ValueError(f"need batch_size and max_sequences >= 1: {self.batch_size}, {self.max_sequences}")
