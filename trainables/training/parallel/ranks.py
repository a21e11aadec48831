"""The processes that train one replicate together: which of them computes what, and holds which part of the model.

Of w processes, rank r gets the r-th of w equal, contiguous shards of every batch. All of them draw the whole batch
from the same stream, so the training data does not depend on w; and a forward pass of rank r draws its noise from
the streams of the micro-batches that it replaces, so that w processes compute what one process computes in
micro-batches of batch_size / w.

`ReplicatedModel` gives every process the whole model (DDP); `sharded.ShardedModel` a w-th of the parameters,
gradients and optimiser state (FSDP2). Both average over the ranks what `(loss * gradient_scale).backward()` adds to
the gradients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor
from torch import distributed as dist

T = TypeVar("T")

_GLOO_TRANSPORT = re.compile(r"\[\S*gloo/transport/\S+:\d+\] ")
"""Prefix of all messages in which Gloo reports that a rank is unreachable: closed, reset, timed out."""


@dataclass(frozen=True)
class Ranks:
    """The processes of one trial, and the index of this one among them.

    Every method but `share` is collective if there are several: all ranks call it, in the same order.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> Ranks:
        """Return the ranks of the process group that this process has joined."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and reports."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """Return the slice of a batch that is this rank's shard.

        Raises:
            ValueError: If the batch cannot be divided equally.
        """
        if batch_size % self.size:
            raise ValueError(f"a batch of {batch_size} sequences cannot be divided among {self.size} workers")
        size = batch_size // self.size
        return slice(self.rank * size, (self.rank + 1) * size)

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of every rank's `value`; on all ranks the same bits."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def gather(self, value: T) -> list[T]:
        """Return every rank's `value`, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def first(self, value: T) -> T:
        """Return the first rank's `value`, for decisions that must be equal on all ranks, whose clocks and chips
        differ."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]


SOLO = Ranks()
"""A trial of one process."""


def is_lost_peer(error: BaseException) -> bool:
    """Return whether `error` only says that another rank has gone: a consequence, not a cause.

    NCCL and the store have their own exceptions for that. Gloo's is a plain RuntimeError, recognised by the
    location in Gloo's sources at the beginning of its message.
    """
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and _GLOO_TRANSPORT.match(str(error)) is not None
