"""The model of a trial that trains in one process; `replicated` and `sharded` are its subclasses for several."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.training.parallel.ranks import SOLO, Ranks


class SingleProcessModel:
    """The model of a trial of one process, and the interface of its subclasses for several processes."""

    def __init__(self, module: LanguageModel, ranks: Ranks = SOLO) -> None:
        self.module = module
        self.gradient_scale = float(ranks.size)
        """Factor of the loss, so that the mean of the ranks' gradients equals their sum."""

    def forward(self, tokens_BT: Tensor, targets_BT: Tensor | None = None) -> ModelOutput:
        """Run the forward pass of a training step; targets are passed only to a model that needs them."""
        output: ModelOutput = self._called(*((tokens_BT,) if targets_BT is None else (tokens_BT, targets_BT)))
        return output

    @property
    def _called(self) -> nn.Module:
        return self.module

    def accumulating(self) -> AbstractContextManager[Any]:
        """Return the context of a micro-batch that is not the last of its step."""
        return nullcontext()

    def full_parameters(self) -> AbstractContextManager[Any]:
        """Return the context in which methods of the model other than its forward pass may run."""
        return nullcontext()

    def clip_gradients(self, max_norm: float) -> Tensor:
        """Scale the gradients down to a global L2 norm of `max_norm`; return the norm before."""
        return torch.nn.utils.clip_grad_norm_(self._parameters, max_norm)

    @cached_property
    def _parameters(self) -> list[nn.Parameter]:
        """The parameters as this process holds them; must be read only after the model is sharded."""
        return list(self.module.parameters())

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
        """Load what `state` returned, in a trial with any number of processes."""
        own = self.module.state_dict()
        self.module.load_state_dict({**{name: own[name] for name in self.module.frozen_state}, **model})
        optimizer.load_state_dict(optimizer_state)
