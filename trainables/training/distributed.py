"""Several processes that train one replicate together: who computes what, and who holds what of the model.

Of w processes, rank r takes the r-th of w equal, contiguous parts of every batch. All of them draw the whole batch
from the same stream, so what is trained on does not depend on w; and a forward pass of rank r draws its noise from
the streams of the micro-batches it stands for, so that w processes compute what one process computes in
micro-batches of batch_size / w.

`ReplicatedModel` gives every process the whole model (DDP); `sharded.ShardedModel` a w-th of the parameters,
gradients and optimiser state (FSDP2). Both average over the ranks what `(loss * gradient_scale).backward()` adds to
the gradients.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from trainables.architectures.base import LanguageModel, ModelOutput

Sharding = Literal["replicated", "fsdp"]

T = TypeVar("T")

_GLOO_TRANSPORT = re.compile(r"\[\S*gloo/transport/\S+:\d+\] ")
"""How every message begins with which Gloo says that it cannot reach a rank any more: closed, reset, timed out."""


@dataclass(frozen=True)
class Ranks:
    """The processes of one trial, and the place of this one among them.

    Every method but `share` is collective where there are several: all ranks call it, in the same order.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> Ranks:
        """Return those of the process group that this process has joined."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks for the others."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """Return which sequences of a batch are this rank's.

        Raises:
            ValueError: If the ranks cannot have equal shares.
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
        """Return the first rank's `value`: what one must decide for all, because clocks and chips differ."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]


SOLO = Ranks()
"""A trial of one process."""


class WholeModel:
    """The model of a trial of one process, and what the classes below change of that."""

    def __init__(self, module: LanguageModel, ranks: Ranks = SOLO) -> None:
        self.module = module
        self.gradient_scale = float(ranks.size)
        """What the loss is multiplied by, so that the mean of gradients over the ranks is their sum."""

    def forward(self, tokens_BT: Tensor, targets_BT: Tensor | None = None) -> ModelOutput:
        """Run the forward pass of a training step; only a model that uses targets is given them."""
        output: ModelOutput = self._called(*((tokens_BT,) if targets_BT is None else (tokens_BT, targets_BT)))
        return output

    @property
    def _called(self) -> nn.Module:
        return self.module

    def accumulating(self) -> AbstractContextManager[Any]:
        """Return the context of a micro-batch that others of the same step follow."""
        return nullcontext()

    def assembled(self) -> AbstractContextManager[Any]:
        """Return the context in which methods of the model other than its forward pass may run."""
        return nullcontext()

    def clip_gradients(self, max_norm: float) -> Tensor:
        """Scale the gradients down to a global L2 norm of `max_norm`; return the norm before."""
        return torch.nn.utils.clip_grad_norm_(self.module.parameters(), max_norm)

    def state(self, optimizer: Optimizer, *, keep: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the state of the whole model and of its optimiser, as one process would hold it.

        Args:
            optimizer: Of this model.
            keep: Whether this rank needs it. All ranks must call; one that does not keep may get less.
        """
        frozen = self.module.frozen_state
        model = {name: value for name, value in self.module.state_dict().items() if name not in frozen}
        return model, optimizer.state_dict()

    def load_state(self, optimizer: Optimizer, model: dict[str, Any], optimizer_state: dict[str, Any]) -> None:
        """Take over what `state` returned, in a trial of any number of processes."""
        own = self.module.state_dict()
        self.module.load_state_dict({**{name: own[name] for name in self.module.frozen_state}, **model})
        optimizer.load_state_dict(optimizer_state)


class ReplicatedModel(WholeModel):
    """The whole model in every process; gradients are averaged while the backward pass makes them (DDP)."""

    def __init__(self, module: LanguageModel, ranks: Ranks) -> None:
        super().__init__(module, ranks)
        # A model may leave parameters unused, and DDP would wait for their gradients for ever. It also keeps DDP
        # from rearranging its buckets after the first step: with three ranks or more the order of a sum depends
        # on where in a bucket it stands, and a continuation would not be bit-exact.
        self._replica = DistributedDataParallel(module, find_unused_parameters=True, gradient_as_bucket_view=True)

    @property
    def _called(self) -> nn.Module:
        return self._replica

    def accumulating(self) -> AbstractContextManager[Any]:
        """Return a context in which gradients stay in this process."""
        return self._replica.no_sync()


def hold(module: LanguageModel, device: torch.device, ranks: Ranks, sharding: Sharding) -> WholeModel:
    """Move a model to its device, in the way in which the processes of a trial hold it together.

    Args:
        module: The whole model, drawn, in host memory; divided in place if `sharding` is `fsdp`.
        device: This process's.
        ranks: The processes.
        sharding: Without effect on a trial of one process.
    """
    if ranks.size == 1:
        return WholeModel(module.to(device))
    if sharding == "fsdp":
        from trainables.training.sharded import ShardedModel  # a second of imports that others do without

        return ShardedModel(module, ranks, device)
    return ReplicatedModel(module.to(device), ranks)


def is_lost_peer(error: BaseException) -> bool:
    """Return whether `error` only says that another rank has gone: a consequence, not a cause.

    NCCL and the store have exceptions of their own for that. Gloo's is a plain RuntimeError, told by the place in
    Gloo's sources with which its message begins.
    """
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and _GLOO_TRANSPORT.match(str(error)) is not None
