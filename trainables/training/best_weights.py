"""The weights with the best validation score so far: the final weights are chosen on validation data alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.tasks.base.task import Task


class Choice(NamedTuple):
    """The metric by which reports are compared, to choose weights or to stop early."""

    metric: str
    direction: Literal["minimise", "maximise"]

    @classmethod
    def of(cls, task: Task) -> Choice:
        """Return the primary metric of `task`, on the subset that every report scores.

        Raises:
            ValueError: If that metric has no better direction.
        """
        name = task.primary_metric
        direction = next(metric.direction for metric in task.metrics if metric.name == name)
        if direction == "none":
            raise ValueError(f"score_at=best and patience need a metric with a direction; {name} has none")
        return cls(name.replace("val/", "val_subset/", 1), direction)

    @property
    def worst(self) -> float:
        """A score that every other one improves on."""
        return math.inf if self.direction == "minimise" else -math.inf

    def gain(self, score: float, before: float) -> float:
        """Return by how much `score` is better than `before`; negative if it is worse."""
        return before - score if self.direction == "minimise" else score - before


class BestWeights:
    """Keeps a copy of a model's weights as they were at its best report.

    The copy is allocated at the start, so that the first step needs as much memory as all later ones. Weights that
    never change are not copied.

    Args:
        model: On its device; each process of a trial keeps its shard.
        choice: The metric by which reports are compared.
    """

    def __init__(self, model: LanguageModel, choice: Choice) -> None:
        self.choice, self._model = choice, model
        self.step = 0
        """Optimiser step of the kept weights."""
        self.score = choice.worst
        self._kept = {name: tensor.clone() for name, tensor in self._own().items()}

    def _own(self) -> dict[str, Tensor]:
        """Return the model's state, tied weights once and without what never changes."""
        once = {name for name, _ in (*self._model.named_parameters(), *self._model.named_buffers())}
        chosen = once - self._model.frozen_state
        return {name: tensor.detach() for name, tensor in self._model.state_dict().items() if name in chosen}

    def offer(self, step: int, scores: Mapping[str, float]) -> None:
        """Keep the model's weights if they score better than those kept; in a tie the first are kept.

        Args:
            step: Optimiser steps done.
            scores: Of the report, the same on all ranks.
        """
        score = scores[self.choice.metric]
        if self.choice.gain(score, self.score) > 0:
            self.keep(step, score)

    @torch.no_grad()
    def keep(self, step: int, score: float) -> None:
        """Keep the model's current weights."""
        self.step, self.score = step, score
        for name, tensor in self._own().items():
            self._kept[name].copy_(tensor)

    @torch.no_grad()
    def exchange(self) -> None:
        """Swap the model's weights with the kept ones; a second call undoes the first."""
        for name, own in self._own().items():
            kept = self._kept[name]
            before = own.clone()
            own.copy_(kept)
            kept.copy_(before)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Swap in the kept weights for the duration of the block."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()
