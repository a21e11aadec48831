"""Retrieval tasks: long prompts with a short answer that the model generates, scored and kept item by item."""

from __future__ import annotations

import copy
import math
import time
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import Batch
from trainables.data.tokenizers.base import Tokenizer
from trainables.metric import Metric, Split
from trainables.randomness import generator as stream
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.retrieval.answers import Answers, answer
from trainables.tasks.retrieval.config import RetrievalConfig
from trainables.tasks.retrieval.items import Item, as_examples, decoded, hash_of
from trainables.tasks.retrieval.prefixes import read_blocks
from trainables.tasks.retrieval.records import Answered, Origin, cell_lines, item_lines
from trainables.tasks.scoring import evenly_spaced, mean_nats
from trainables.tasks.synthetic.task import MetricSpec


class RetrievalTask(Task):
    """Items of each held-out split, and a source of items to train on.

    Args:
        config: Of the task.
        tokenizer: Text to tokens and back.
    """

    reads_ahead = True
    stream_name: ClassVar[str]
    """Names the random streams of the items: it must never change, because another name gives other items."""

    accuracy: ClassVar[str]
    """The score that tables call accuracy."""

    def __init__(self, config: RetrievalConfig, tokenizer: Tokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.vocab_size, self.context_length = tokenizer.vocab_size, config.context_length
        self._seed: int | None = None
        self.items = self._draw_items()
        self.data_hash = hash_of(self.items, tokenizer)

    @abstractmethod
    def _held_out(self, split: Split) -> list[Item]:
        """Return the items of a split, none if it does not exist; random draws come from `_stream`."""

    @abstractmethod
    def _training_item(self, generator: torch.Generator) -> Item:
        """Draw an item to train on; with its answer it has at most `context_length` tokens and one more."""

    @abstractmethod
    def _score(self, item: Item, text: str, tokens_N: Tensor, hits_L: Tensor) -> dict[str, float]:
        """Return the scores of an answer, named as metrics without the task's name; `exact_match` and `f1` are two.

        Args:
            item: What was asked.
            text: What was generated.
            tokens_N: Its tokens.
            hits_L: See `Answers`.
        """

    @abstractmethod
    def _specs(self, items: Sequence[Item]) -> list[MetricSpec]:
        """Return the metrics that are means of scores over all items; names without the task's."""

    def _whole_specs(self, items: Sequence[Item]) -> list[MetricSpec]:
        """Return further metrics of a whole split, named likewise."""
        return []

    def _whole_scores(self, answered: Sequence[Answered]) -> dict[str, float]:
        """Return those metrics."""
        return {}

    def _is_complete(self, item: Item, text: str) -> bool:
        """Return whether no further text could change the scores, so that generation may end."""
        return False

    def _stream(self, *names: str) -> torch.Generator:
        """Return a stream of the items; of each replicate's own, if it has its own."""
        own = ("replicate", str(self._seed)) if self._has_own_items else ()
        return stream(self.config.data_seed, self.stream_name, *own, *names)

    def _draw_items(self) -> dict[Split, list[Item]]:
        splits: tuple[Split, ...] = ("val", "test")
        found = {split: self._held_out(split) for split in splits}
        return {split: items for split, items in found.items() if items}

    def for_seed(self, seed: int) -> RetrievalTask:
        """Return the task of a replicate, with its own items if each has its own."""
        own = copy.copy(self)
        own._seed = seed
        if own._has_own_items:
            own.items = own._draw_items()
        return own

    @property
    def _has_own_items(self) -> bool:
        return self._seed is not None and self.config.items == "by_seed"

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Most tokens of an item with what is generated, whatever the seed, and of a training sequence."""

    @property
    def scored_tokens(self) -> int:
        """Items with their answers; what the prompts of a split begin with alike is read once."""
        return sum(_num_read(items) for items in self.items.values())

    @property
    def splits(self) -> tuple[Split, ...]:
        """The held-out splits that exist; validation always does."""
        return tuple(self.items)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of each held-out split, and of evenly spaced items of it."""
        declared = []
        for split, items in self.items.items():
            size, specs = len(items), self._named([*self._specs(items), self._nats_spec])
            whole = [*specs, *self._named(self._whole_specs(items))]
            declared += [spec.metric(split, f"{split} split, {size:,} items", size) for spec in whole]
            some = f"{split} split, some of {size:,} items"
            declared += [spec.metric(f"{split}_subset", some, None) for spec in specs]
        return tuple(declared)

    @property
    def _nats_spec(self) -> MetricSpec:
        meaning = "mean negative log-likelihood of the answer's tokens, those before each given"
        return MetricSpec("nats_per_token", meaning, math.log(self.vocab_size), "nats/token", "minimise")

    def _named(self, specs: Sequence[MetricSpec]) -> list[MetricSpec]:
        return [spec._replace(name=f"{self.config.name}_{spec.name}") for spec in specs]

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw fresh items."""
        return self._as_batch([self._training_item(generator) for _ in range(size)])

    def held_out(self, num_sequences: int) -> Batch:
        """Return up to `num_sequences` items of the length of training."""
        draw = stream(self.config.data_seed, self.stream_name, "probes")
        size = min(num_sequences, self.config.probe_sequences)
        return self._as_batch([self._training_item(draw) for _ in range(size)])

    def _as_batch(self, items: Sequence[Item]) -> Batch:
        examples = as_examples(items, self.context_length, scored=self.config.scored)
        return Batch(examples.tokens_NT, examples.targets_NT)

    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the answers, or of all tokens, in nats a token."""
        return mean_nats(logits_BTV, batch.targets_BT)

    def evaluate(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        """Let the model answer held-out items.

        Raises:
            ValueError: If the model is in training mode, the split does not exist, or a size is below 1.
        """
        return self._metrics_of(self.answer(model, request), request)

    def conclude(self, model: LanguageModel, request: EvaluationRequest) -> tuple[dict[str, float], dict[str, str]]:
        """Let the model answer a whole split; also return every answer, and a table of them by kind of item."""
        answered = self.answer(model, request)
        origin = Origin(task=self.config.name, mode=model.mode, seed=self._seed)
        name = f"{self.config.name}_{request.split}"
        texts = {
            f"{name}_items.jsonl": item_lines(answered, origin),
            f"{name}_metrics.jsonl": cell_lines(answered, origin, self.accuracy),
        }
        return self._metrics_of(answered, request), texts

    def _metrics_of(self, answered: Sequence[Answered], request: EvaluationRequest) -> dict[str, float]:
        names = answered[0].scores
        found = {name: float(np.mean([one.scores[name] for one in answered])) for name in names}
        if request.is_whole:
            found |= self._whole_scores(answered)
        return {f"{request.prefix}/{self.config.name}_{name}": value for name, value in found.items()}

    @torch.no_grad()
    def answer(self, model: LanguageModel, request: EvaluationRequest) -> list[Answered]:
        """Return the model's answer to each item, in the items' order.

        Args:
            model: As for `evaluate`.
            request: As for `evaluate`; its batch size is of items.
        """
        request.check(model, self.splits, fix="set test_items above 0")
        items = self.items[request.split]
        chosen = [items[place] for place in evenly_spaced(len(items), request.max_sequences).tolist()]
        pass_tokens = self.config.probe_sequences * self.context_length
        blocks = list(_blocks(chosen, min(request.batch_size, model.sequences_at_once), pass_tokens))
        prompts = [torch.stack([chosen[place].prompt_T for place in block]) for block in blocks]
        found: dict[int, Answered] = {}
        started = time.perf_counter()
        for number, logits_BV, continuation in read_blocks(
            model, prompts, pass_tokens=pass_tokens, device=request.device
        ):
            block = [chosen[place] for place in blocks[number]]
            wanted_BL = torch.stack([item.answer_L for item in block]).to(request.device)
            answers = answer(
                continuation,
                logits_BV,
                prompts[number].to(request.device),
                wanted_BL,
                block[0].num_generated,
                partial(self._is_settled, block),
            )
            seconds = (time.perf_counter() - started) / len(block)
            found |= dict(zip(blocks[number], self._read_off(answers, block, seconds), strict=True))
            started = time.perf_counter()
        return [found[place] for place in range(len(chosen))]

    def _is_settled(self, block: Sequence[Item], row: int, tokens_N: Tensor) -> bool:
        """Return whether the answer in a row of a block has ended."""
        if self.tokenizer.end is not None and int(tokens_N[-1]) == self.tokenizer.end:
            return True
        return self._is_complete(block[row], decoded(self.tokenizer, tokens_N.cpu()))

    def _read_off(self, answers: Answers, items: Sequence[Item], seconds: float) -> Iterator[Answered]:
        """Yield the answers of a block with their scores."""
        for item, tokens_N, hits_L, nats_L in zip(items, *answers, strict=True):
            tokens_N = tokens_N.cpu()  # noqa: PLW2901
            text = decoded(self.tokenizer, tokens_N[tokens_N != self.tokenizer.end])
            scores = self._score(item, text, tokens_N, hits_L.cpu())
            scores["nats_per_token"] = float(nats_L.mean())
            yield Answered(item, text, scores, seconds)


def tie_weight(hits_L: Tensor) -> float:
    """Return the probability of the tokens that were chosen because they are wanted: 1 if none shared its logit."""
    return float(hits_L[hits_L > 0].prod())


def _num_read(items: Sequence[Item]) -> int:
    """Return how many tokens there are to read if those with which prompts begin alike are read once."""
    prompts = sorted(item.prompt_T.tolist() for item in items)
    shared = sum(_num_equal(before, after) for before, after in pairwise(prompts))
    return sum(map(len, items)) - shared


def _num_equal(one: list[int], other: list[int]) -> int:
    """Return how many tokens two prompts begin with alike."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))


def _blocks(items: Sequence[Item], batch_size: int, pass_tokens: int) -> Iterator[list[int]]:
    """Yield places of items of equal lengths, as many as fit into one pass."""
    by_shape = defaultdict(list)
    for place, item in enumerate(items):
        by_shape[len(item.prompt_T), len(item.answer_L), item.num_generated].append(place)
    for (prompt, _, generated), places in by_shape.items():
        size = min(batch_size, max(1, pass_tokens // (prompt + generated)))
        yield from (places[start : start + size] for start in range(0, len(places), size))
