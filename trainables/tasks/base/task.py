"""The interface of every task: data, a loss, metrics with their chance level, and reference scores."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import Batch
from trainables.metric import Metric, Split
from trainables.tasks.base.request import EvaluationRequest


class Task(ABC):
    """A task with its data loaded. It has no random state: generators are passed as arguments."""

    vocab_size: int
    context_length: int
    data_hash: str
    """Hash of the data and its splits."""
    reads_ahead: bool = False
    """Whether sequences longer than `context_length` are read by `LanguageModel.prefill` and then answered, so that
    no pass has the logits of all their tokens."""

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence for which a model is built; training sequences have
        `context_length`, and evaluation may use longer ones."""
        return self.context_length

    @property
    def answer_length(self) -> int | None:
        """Tokens at the end of a whole sequence that repeat a part of it, as asked; None: there are none."""
        return None

    @property
    def scored_tokens(self) -> int:
        """Tokens that a model reads when all splits are scored once, roughly; forecasts of time count them. 0: not
        counted."""
        return 0

    @property
    @abstractmethod
    def splits(self) -> tuple[Split, ...]:
        """The held-out splits that exist; validation always does."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric `evaluate` may return."""

    @property
    @abstractmethod
    def primary_metric(self) -> str:
        """Name of the metric that the task is about."""

    @abstractmethod
    def held_out(self, num_sequences: int) -> Batch:
        """Return up to `num_sequences` evenly spaced validation sequences of full length, for probes."""

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` training sequences with `generator`, on the CPU."""

    def at(self, step: int) -> Task:
        """Return the task that training draws from at optimiser step `step`: a curriculum starts with easier ones.

        Its sequences may be shorter, never longer; vocabulary, loss and evaluation stay the same.
        """
        return self

    @abstractmethod
    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss over scored positions, in nats a token."""

    def for_seed(self, seed: int) -> Task:
        """Return the task of a replicate with this seed, which may have held-out items of its own.

        Vocabulary, lengths, metrics and data hash stay the same.
        """
        return self

    @abstractmethod
    def evaluate(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        """Score `model` deterministically.

        Args:
            model: In evaluation mode; gradients are off.
            request: What is scored; its prefix begins every metric's name.
        """

    def conclude(self, model: LanguageModel, request: EvaluationRequest) -> tuple[dict[str, float], dict[str, str]]:
        """Score a whole split at the end of training.

        Args:
            model: In evaluation mode; gradients are off.
            request: Which split.

        Returns:
            The metrics of `evaluate`, and texts about this very evaluation, such as every answer, by file name.
        """
        return self.evaluate(model, request), {}

    def artifacts(self, model: LanguageModel, *, device: torch.device) -> dict[str, str]:
        """Return texts that show the model's behaviour, by file name, to be saved with its score.

        Args:
            model: In evaluation mode; gradients are off.
            device: Where the model is.
        """
        return {}

    @abstractmethod
    def references(self) -> dict[str, dict[str, float]]:
        """Return the scores of simple models on this data, as {reference: {metric: value}}."""
