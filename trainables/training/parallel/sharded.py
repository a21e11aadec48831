"""A model sharded over the processes of a trial, for models too large for one process (FSDP2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from trainables.architectures.base.model import LanguageModel
from trainables.training.parallel.ranks import Ranks
from trainables.training.parallel.single_process import SingleProcessModel


class ShardedModel(SingleProcessModel):
    """A shard of every parameter in each process; a block has its full parameters only while it computes (FSDP2).

    Blocks are the elements of the model's outermost `nn.ModuleList`s, which must be used by calling them;
    parameters outside of them are gathered from the forward to the backward pass. Gradients are reduced after every
    micro-batch, so that no rank holds more than its shard of them. The model is built whole in the host memory of
    every process before it is sharded, and gathered once more for the final probes.
    """

    def __init__(self, module: LanguageModel, ranks: Ranks, device: torch.device) -> None:
        super().__init__(module, ranks)
        mesh = init_device_mesh(device.type, (ranks.size,))
        for part in (*_blocks(module), module):  # the last one moves the remaining shards to the device
            fully_shard(part, mesh=mesh)
            if hasattr(part, "stream"):
                register_fsdp_forward_method(part, "stream")

    @contextmanager
    def full_parameters(self) -> Iterator[None]:
        """Gather the whole model in this process."""
        parts = [part for part in self.module.modules() if isinstance(part, FSDPModule)]
        whole: object = self.module
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        try:
            yield
        finally:
            for part in parts:
                part.reshard()
                part.set_reshard_after_forward(part is not whole, recurse=False)  # FSDP2's default

    def clip_gradients(self, max_norm: float) -> Tensor:
        """Scale the gradients down to a global L2 norm of `max_norm`; return the norm before."""
        norm = super().clip_gradients(max_norm)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def state(self, optimizer: Optimizer, *, keep: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the full state, gathered tensor by tensor in the host memory of the ranks that keep it."""
        model, optimizer_state = super().state(optimizer, keep=keep)
        return _assemble(model, keep=keep), _assemble(optimizer_state, keep=keep)

    def load_state(self, optimizer: Optimizer, model: dict[str, Any], optimizer_state: dict[str, Any]) -> None:
        """Load this rank's shard of what `state` returned."""
        own = self.module.state_dict()
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        shares = {
            index: {name: _share_of(tensor, parameters[index]) for name, tensor in tensors.items()}
            for index, tensors in optimizer_state["state"].items()
        }
        super().load_state(
            optimizer,
            {name: _share_of(tensor, own[name]) for name, tensor in model.items()},
            {**optimizer_state, "state": shares},
        )


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)


def _assemble(state: Any, *, keep: bool) -> Any:
    """Return nested dictionaries with every sharded tensor gathered, or None in its place."""
    if isinstance(state, dict):
        return {key: _assemble(value, keep=keep) for key, value in state.items()}
    if isinstance(state, DTensor):
        whole = state.full_tensor()
        return whole.cpu() if keep else None
    return state


def _share_of(whole: Tensor, like: Tensor) -> Tensor:
    """Return this rank's shard of `whole`, sharded as `like` is."""
    if not isinstance(like, DTensor) or whole.shape != like.shape:
        return whole
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
