"""Wraps a model for the processes that train it."""

from __future__ import annotations

import torch

from trainables.architectures.base.model import LanguageModel
from trainables.config.resources import Sharding
from trainables.training.parallel.ranks import Ranks
from trainables.training.parallel.replicated import ReplicatedModel
from trainables.training.parallel.single_process import SingleProcessModel


def wrap_model(module: LanguageModel, device: torch.device, ranks: Ranks, sharding: Sharding) -> SingleProcessModel:
    """Move a model to its device, wrapped for the processes of a trial.

    Args:
        module: The whole model, initialised, in host memory; sharded in place if `sharding` is `fsdp`.
        device: This process's.
        ranks: The processes.
        sharding: Ignored in a trial of one process.
    """
    if ranks.size == 1:
        return SingleProcessModel(module.to(device))
    if sharding == "fsdp":
        from trainables.training.parallel.sharded import ShardedModel  # takes a second to import

        return ShardedModel(module, ranks, device)
    return ReplicatedModel(module.to(device), ranks)
