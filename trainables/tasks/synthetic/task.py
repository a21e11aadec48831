"""Synthetic tasks: examples are drawn instead of read from a text. Fixed ones for scoring, fresh or fixed to train.

A task defines how examples are drawn and scored; everything common is here. Scores of an
example are tensors whose first dimension is the example, and a metric is the mean of all their elements.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar, Generic, Literal, NamedTuple, Self, TypeVar

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED, Batch
from trainables.metric import Metric, Split
from trainables.randomness import generator as stream
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.scoring import evenly_spaced, hit_probability, mean_nats, token_nats
from trainables.tasks.synthetic.config import SyntheticConfig


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Examples of one length; each has equally many targets."""

    tokens_NT: Tensor
    """The model's input."""
    targets_NT: Tensor
    """The target at each position; -100 if there is none."""

    def __len__(self) -> int:
        return len(self.tokens_NT)

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return the examples with `change` applied to every tensor."""
        return replace(self, **{item.name: change(getattr(self, item.name)) for item in fields(self)})


E = TypeVar("E", bound=Examples)


class MetricSpec(NamedTuple):
    """A metric without its split. Rates are taken over examples, including rates of answers.

    The answers of one example are correct or wrong together: they are not independent items, and counting them
    would overstate the precision.
    """

    name: str
    meaning: str
    chance: float | None
    unit: str = "share"
    direction: Literal["minimise", "maximise"] = "maximise"
    examples: int | None = None
    """Number of examples a rate is taken over; None: the whole split."""
    per_example: float = 1
    """Answers, such as tokens, that a rate counts in each example, on average."""
    in_subset: bool = True
    """Whether it is also reported for a subset."""

    def metric(self, prefix: str, which: str, num_examples: int | None) -> Metric:
        """Return the metric of a split or its subset.

        Args:
            prefix: Of the name.
            which: Which examples, in words.
            num_examples: Of the split; None if the caller of `evaluate` chooses them.
        """
        items = (self.examples or num_examples) if self.unit == "share" and num_examples is not None else None
        return Metric(
            name=f"{prefix}/{self.name}",
            unit=self.unit,
            direction=self.direction,
            meaning=f"{self.meaning}; {which}",
            chance=self.chance,
            items=items,
            scored=round(items * self.per_example) if items is not None and self.per_example > 1 else None,
        )


class SyntheticTask(Task, Generic[E]):
    """Held-out examples, and a source of training examples.

    Args:
        config: Of the task.
        vocab_size: Number of different tokens.
        context_length: Tokens of an example.
    """

    stream_name: ClassVar[str]
    """Names the random streams of its fixed examples: it must never change, because another name gives other
    data."""

    def __init__(self, config: SyntheticConfig, *, vocab_size: int, context_length: int) -> None:
        self.config = config
        self.vocab_size, self.context_length = vocab_size, context_length
        sizes: dict[Split, int] = {"val": config.num_val, "test": config.num_test}
        self.examples = {
            split: self._draw_held_out(size, self._stream(split)) for split, size in sizes.items() if size
        }
        self._fixed = self._fixed_training()
        self.data_hash = self._hash()

    @abstractmethod
    def _draw(self, size: int, generator: torch.Generator) -> E:
        """Draw examples, on the CPU."""

    def _draw_held_out(self, size: int, generator: torch.Generator) -> E:
        """Draw the examples of a held-out split, on the CPU."""
        return self._draw(size, generator)

    @abstractmethod
    def _scores(self, model: LanguageModel, examples: E) -> dict[str, Tensor]:
        """Return every score of every example, keyed by the metric that is its mean."""

    @abstractmethod
    def _kinds(self, split: Split) -> list[MetricSpec]:
        """Return the metrics of a split."""

    def _stream(self, *names: str) -> torch.Generator:
        return stream(self.config.data_seed, self.stream_name, *names)

    def _fixed_training(self) -> E | None:
        size = self.config.num_train
        return None if size is None else self._draw(size, self._training_stream())

    def _training_stream(self) -> torch.Generator:
        return self._stream("train")

    def _as_batch(self, examples: E) -> Batch:
        """Return examples as a batch of training or of probes."""
        return as_batch(examples)

    def _hash(self) -> str:
        digest = hashlib.sha256()
        parts: list[tuple[str, E]] = [*self.examples.items()]
        parts += [] if self._fixed is None else [("train", self._fixed)]
        for split, examples in parts:
            for tensor in (examples.tokens_NT, examples.targets_NT):
                digest.update(f"{split} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    @property
    def splits(self) -> tuple[Split, ...]:
        """The held-out splits that exist; validation always does."""
        return tuple(self.examples)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of each held-out split and its evenly spaced subset."""
        declared = []
        for split, examples in self.examples.items():
            size, kinds = len(examples), self._kinds(split)
            declared += [kind.metric(split, f"{split} split, {size:,} examples", size) for kind in kinds]
            some = f"{split} split, some of {size:,} examples"
            declared += [kind.metric(f"{split}_subset", some, None) for kind in kinds if kind.in_subset]
        return tuple(declared)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw fresh examples, or some of the fixed ones with replacement."""
        if self._fixed is None:
            return self._as_batch(self._draw(size, generator))
        chosen_B = torch.randint(len(self._fixed), (size,), generator=generator)
        return self._as_batch(self._fixed.each(lambda tensor: tensor[chosen_B]))

    def held_out(self, num_sequences: int) -> Batch:
        """Return up to `num_sequences` evenly spaced validation examples."""
        examples = self.examples["val"]
        chosen_B = evenly_spaced(len(examples), num_sequences)
        return self._as_batch(examples.each(lambda tensor: tensor[chosen_B]))

    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the answers, in nats."""
        return mean_nats(logits_BTV, batch.targets_BT)

    @torch.no_grad()
    def evaluate(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        """Score held-out examples.

        Raises:
            ValueError: If the model is in training mode, the split does not exist, or a size is below 1.
        """
        request.check(model, self.splits, fix="set num_test above 0")
        examples = self.examples[request.split]
        chosen_N = evenly_spaced(len(examples), request.max_sequences)
        scores = self._score_all(model, examples.each(lambda tensor: tensor[chosen_N]), request)
        if request.is_whole:
            scores |= self._whole_scores(model, request, scores)
        return {f"{request.prefix}/{name}": value for name, value in self._means(scores).items()}

    def _means(self, scores: dict[str, Tensor]) -> dict[str, float]:
        """Return the metrics of scored examples."""
        return {name: float(value.double().mean()) for name, value in scores.items()}

    def _score_all(self, model: LanguageModel, examples: E, request: EvaluationRequest) -> dict[str, Tensor]:
        """Score examples that are on the CPU; the scores are returned on the CPU."""
        parts = []
        for part_B in torch.arange(len(examples)).split(request.batch_size):
            part = examples.each(lambda tensor, chosen_B=part_B: tensor[chosen_B].to(request.device))  # type: ignore[misc]
            parts.append(self._scores(model, part))
        return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}

    def _whole_scores(
        self, model: LanguageModel, request: EvaluationRequest, scores: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return further scores of a whole split, for which a subset is too small.

        Args:
            model: As for `evaluate`.
            request: As for `evaluate`.
            scores: Of all examples.
        """
        return {}


def as_batch(examples: Examples) -> Batch:
    """Return examples as a training batch."""
    return Batch(examples.tokens_NT, examples.targets_NT)


def at_targets(model: LanguageModel, examples: Examples) -> tuple[Tensor, Tensor]:
    """Return logits and targets at the scored positions: shapes (N, Q, V) and (N, Q), in order."""
    logits_NTV = model(examples.tokens_NT).logits_BTV
    is_target_NT = examples.targets_NT != IGNORED
    shape = (len(examples), -1)
    return logits_NTV[is_target_NT].view(*shape, logits_NTV.shape[2]), examples.targets_NT[is_target_NT].view(shape)


def hits_of(logits_NQV: Tensor, targets_NQ: Tensor) -> Tensor:
    """Return the probability that each target is predicted, ties broken at random."""
    hits_M = hit_probability(logits_NQV.flatten(0, 1), targets_NQ.flatten(), 1)
    return hits_M.view(targets_NQ.shape)


def answer_scores(task: str, logits_NQV: Tensor, targets_NQ: Tensor) -> dict[str, Tensor]:
    """Return the scores of answers common to all tasks, named after the task."""
    hits_NQ = hits_of(logits_NQV, targets_NQ)
    return {
        f"{task}_accuracy": hits_NQ,
        f"{task}_exact_match": hits_NQ.prod(1),
        f"{task}_nats_per_token": token_nats(logits_NQV, targets_NQ),
    }
