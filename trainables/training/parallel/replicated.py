"""The whole model in every process (DDP)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from trainables.architectures.base.model import LanguageModel
from trainables.training.parallel.ranks import Ranks
from trainables.training.parallel.single_process import SingleProcessModel


class ReplicatedModel(SingleProcessModel):
    """The whole model in every process; gradients are averaged during the backward pass (DDP)."""

    def __init__(self, module: LanguageModel, ranks: Ranks) -> None:
        super().__init__(module, ranks)
        # A model may leave parameters unused, and DDP would wait for their gradients forever. The flag also keeps
        # DDP from rearranging its buckets after the first step: with three ranks or more the order of a sum depends
        # on the position in a bucket, and resuming would not be bit-exact.
        self._replica = DistributedDataParallel(module, find_unused_parameters=True, gradient_as_bucket_view=True)

    @property
    def _called(self) -> nn.Module:
        return self._replica

    def accumulating(self) -> AbstractContextManager[Any]:
        """Return a context in which gradients stay in this process."""
        return self._replica.no_sync()
