"""The weights with the best validation score so far: what is scored in the end is chosen on validation alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainables.architectures.base import LanguageModel
from trainables.tasks.base import Task


class Choice(NamedTuple):
    """By what weights are chosen."""

    metric: str
    direction: Literal["minimise", "maximise"]

    @classmethod
    def of(cls, task: Task) -> Choice:
        """Return the primary metric of `task`, on the subset that every report scores.

        Raises:
            ValueError: If that metric has no better and worse.
        """
        name = task.primary_metric
        direction = next(metric.direction for metric in task.metrics if metric.name == name)
        if direction == "none":
            raise ValueError(f"score_at=best needs a metric with a direction; {name} has none")
        return cls(name.replace("val/", "val_subset/", 1), direction)


class BestWeights:
    """Keeps a copy of a model's weights as they were at its best report.

    The copy is made at once, so that the memory of the first step is that of every later one. Weights that never
    change are not copied.

    Args:
        model: On its device; each process of a trial keeps its share.
        choice: By what reports are compared.
    """

    def __init__(self, model: LanguageModel, choice: Choice) -> None:
        self.choice, self._model = choice, model
        self.step = 0
        """Optimiser steps of the weights that are kept."""
        self.score = math.inf if choice.direction == "minimise" else -math.inf
        self._kept = {name: tensor.clone() for name, tensor in self._own().items()}

    def _own(self) -> dict[str, Tensor]:
        """Return the model's state, tied weights once and without what never changes."""
        once = {name for name, _ in (*self._model.named_parameters(), *self._model.named_buffers())}
        chosen = once - self._model.frozen_state
        return {name: tensor.detach() for name, tensor in self._model.state_dict().items() if name in chosen}

    def offer(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep the model's weights if they score better than those kept; of equals the first stays.

        Args:
            step: Optimiser steps done.
            scores: Of the report, the same on all ranks.
        """
        score = scores[self.choice.metric]
        if score < self.score if self.choice.direction == "minimise" else score > self.score:
            self.keep(step, score)

    @torch.no_grad()
    def keep(self, step: int, score: float) -> None:
        """Keep the model's weights as they are."""
        self.step, self.score = step, score
        for name, tensor in self._own().items():
            self._kept[name].copy_(tensor)

    @torch.no_grad()
    def exchange(self) -> None:
        """Give the model the weights kept, and keep its own; a second call undoes the first."""
        for name, own in self._own().items():
            kept = self._kept[name]
            before = own.clone()
            own.copy_(kept)
            kept.copy_(before)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the weights kept for a while."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()
