"""The needle task: retrieve random tokens from a position in a long random context.

`corrected` tests what the name promises. A marker stands before the needle and again at the end; the model then has
to generate the needle, from the context and its own tokens alone, and the score is the rate of needles that are
correct in every token. `as_published` is the data, the loss and the metric behind "10.5 % retrieval": the needle is
in the input twice, a part of the loss is to repeat the input, and the hit rate compares the prediction *at* the
needle's own tokens with those tokens. Both fidelities report both kinds of score side by side: `needle_*` is
retrieval, the others are the published ones. `layout` draws the examples and explains why a marker is needed,
`scores` scores them, `metrics` defines the metrics.

Source:
    attention-free-phase-blocks, src/train.py: `generate_needle_dataset`, the trainer's loss, and the evaluation.
"""

from __future__ import annotations

import copy
import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from trainables.architectures.base import LanguageModel
from trainables.batch import IGNORED, Batch
from trainables.metric import Metric, Split
from trainables.randomness import generator as stream
from trainables.registry import register_task
from trainables.tasks.base import Task, TaskConfig
from trainables.tasks.needle.layout import MIN_RESERVED, QUERY_SYMBOLS, Examples, Layout
from trainables.tasks.needle.metrics import (
    FIRST_ECHO,
    FIRST_EXAMPLES,
    NUM_DEPTHS,
    declare,
    depth_metric,
    reference_scores,
)
from trainables.tasks.needle.scores import score_examples
from trainables.tasks.scoring import check_request, evenly_spaced, mean_nats, perplexity

AS_PUBLISHED: dict[str, Any] = {
    "marker": False,
    "placement": "inner_chunks",
    "num_train": 1000,
    "retrieval_weight": 0.5,
}
"""The published task, at any size."""

MIN_HELD_OUT = 4 * NUM_DEPTHS
"""Smallest number of held-out examples with which every depth has some."""


@register_task("needle", version=1)
class NeedleConfig(TaskConfig):
    """A needle in a haystack of random tokens.

    `fidelity: as_published` sets the defaults of every field in `AS_PUBLISHED`, and the published hit rate as the
    primary metric. Published sizes: a vocabulary of 32,000 with 100 reserved tokens at each end, 4 chunks of 128, a
    needle of 16.
    """

    published = AS_PUBLISHED

    name: Literal["needle"] = "needle"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    vocab_size: int = Field(256, ge=2 * MIN_RESERVED + QUERY_SYMBOLS)
    num_reserved: int = Field(4, ge=MIN_RESERVED)
    """Token ids at each end of the vocabulary that never occur in context or needle."""
    context_chunks: int = Field(4, ge=1)
    chunk_length: int = Field(32, ge=1)
    """Tokens of a chunk; the context has `context_chunks` of them."""
    needle_length: int = Field(8, ge=1)
    marker: bool = True
    """Whether a marker stands before the needle and is the query; without one, the query is the same six tokens in
    every example and does not identify the needle."""
    query: bool = True
    """Whether the query and the answer follow the context. Without them the published task is next-token prediction
    of random tokens, and nothing is retrieved."""
    placement: Literal["anywhere", "inner_chunks"] = "anywhere"
    """Where the needle may be: anywhere in the context, or not in its first and last chunk."""
    num_train: int | None = Field(None, ge=1)
    """Examples of a fixed training set, drawn from with replacement. None: every example is fresh."""
    num_val: int = Field(1000, ge=MIN_HELD_OUT)
    num_test: int = Field(1000, ge=0)
    """Examples for test, at least 20; 0: no test split."""
    data_seed: int = Field(0, ge=0)
    """Seed of the fixed examples; fresh ones depend on the replicate's seed."""
    scored: Literal["answer", "all"] = "answer"
    """Which next tokens are trained on."""
    retrieval_weight: float = Field(0.0, ge=0)
    """Weight of the published retrieval loss: to predict, at each token of the answer, that token itself."""
    top_k: int = Field(5, ge=1)
    curriculum: Annotated[tuple[int, ...], Field(strict=False)] = ()
    """Chunk lengths to train on first, ascending, each for a number of steps; then comes `chunk_length`."""
    curriculum_steps_per_stage: int = Field(500, ge=1)
    """Optimiser steps of a stage of the curriculum."""

    @model_validator(mode="after")
    def _consistent(self) -> NeedleConfig:
        if self.vocab_size - 2 * self.num_reserved < QUERY_SYMBOLS:
            raise ValueError(
                f"num_reserved={self.num_reserved} at each end of vocab_size={self.vocab_size} must leave at least "
                f"{QUERY_SYMBOLS} symbols"
            )
        if not self.query and (self.fidelity == "corrected" or self.marker or self.scored == "answer"):
            raise ValueError(
                "query=false asks for nothing: it needs fidelity: as_published, marker: false and scored: all"
            )
        if 0 < self.num_test < MIN_HELD_OUT:
            raise ValueError(
                f"num_test={self.num_test} must be 0 or at least {MIN_HELD_OUT}: each depth needs some"
            )
        if self.top_k > self.vocab_size:
            raise ValueError(f"top_k={self.top_k} must be at most vocab_size={self.vocab_size}")
        if list(self.curriculum) != sorted({length for length in self.curriculum if length < self.chunk_length}):
            raise ValueError(
                f"curriculum={list(self.curriculum)} must ascend and stay below chunk_length={self.chunk_length}, "
                "which follows it"
            )
        for chunk_length in (*self.curriculum, self.chunk_length):
            num_positions, needed = self.layout(chunk_length).num_positions, NUM_DEPTHS
            if num_positions < needed:
                raise ValueError(
                    f"a needle of {self.needle_length} has {max(num_positions, 0)} positions in "
                    f"{self.context_chunks} chunks of {chunk_length} "
                    f"(placement: {self.placement}) and needs {needed}: take more or longer ones"
                )
        return self

    @property
    def violates(self) -> frozenset[str]:
        """The published loss trains unscored positions to repeat the input, and its hit rate rewards that."""
        broken = {"loss"} if self.retrieval_weight and self.query else set()
        return frozenset(broken | ({"echo"} if self.fidelity == "as_published" else set()))

    @property
    def microbatch_invariant(self) -> bool:
        """Every sequence has equally many scored positions."""
        return True

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task of each fidelity, as published also without its query and with a curriculum."""
        small = {"vocab_size": 24, "chunk_length": 12, "needle_length": 3, "num_val": 40, "num_test": 20}
        published = {**small, "fidelity": "as_published", "num_train": 30}
        plain = {"query": False, "scored": "all"}
        variants = [{**small, "curriculum": [6, 9]}, published, {**published, **plain}]
        return [cls.model_validate(fields) for fields in variants]

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result; `fidelity` sets defaults and selects the primary metric."""
        fields = super().canonical()
        del fields["fidelity"]
        if not self.query:
            del fields["retrieval_weight"]
        if not self.curriculum:
            del fields["curriculum_steps_per_stage"]
        return fields

    def layout(self, chunk_length: int) -> Layout:
        """Return the positions of an example with chunks of `chunk_length`."""
        return Layout(
            context_length=self.context_chunks * chunk_length,
            needle_length=self.needle_length,
            first_symbol=self.num_reserved,
            num_symbols=self.vocab_size - 2 * self.num_reserved,
            marker=self.marker,
            query=self.query,
            margin=chunk_length if self.placement == "inner_chunks" else 0,
        )

    def build(self, data_dir: object) -> NeedleTask:
        """Draw the held-out examples, and the training examples if they are fixed."""
        return NeedleTask(self)


class NeedleTask(Task):
    """Held-out examples, and a source of training examples that a curriculum makes shorter."""

    def __init__(self, config: NeedleConfig) -> None:
        self.config = config
        self.vocab_size = config.vocab_size
        self.layout = config.layout(config.chunk_length)
        self.context_length = self.layout.length
        sizes: dict[Split, int] = {"val": config.num_val, "test": config.num_test}
        self.examples = {
            split: self.layout.draw(size, self._stream(split), stratified=True)
            for split, size in sizes.items()
            if size
        }
        self._stages: tuple[NeedleTask, ...] = ()
        self._train_on(config.chunk_length)
        self.data_hash = self._hash()
        self._stages = tuple(self._stage(chunk_length) for chunk_length in config.curriculum)

    def _stream(self, *names: str) -> torch.Generator:
        return stream(self.config.data_seed, "needle", *names)

    def _train_on(self, chunk_length: int) -> None:
        self._train_layout, self._fixed = self.config.layout(chunk_length), None
        if self.config.num_train is not None:
            draw = self._stream("train", str(chunk_length))
            self._fixed = self._train_layout.draw(self.config.num_train, draw).tokens_NT

    def _stage(self, chunk_length: int) -> NeedleTask:
        stage = copy.copy(self)
        stage._train_on(chunk_length)
        return stage

    def _hash(self) -> str:
        digest = hashlib.sha256()
        parts = {} if self._fixed is None else {"train": self._fixed}
        parts |= {str(split): found.tokens_NT for split, found in self.examples.items()}
        for split, tokens_NT in parts.items():
            digest.update(f"{split} {tuple(tokens_NT.shape)}\n".encode())
            digest.update(tokens_NT.numpy().tobytes())
        return digest.hexdigest()

    @property
    def answer_length(self) -> int | None:
        """The needle's length, if it is asked for."""
        return self.config.needle_length if self.config.query else None

    @property
    def splits(self) -> tuple[Split, ...]:
        """The held-out splits that exist; validation always does."""
        return tuple(self.examples)

    @property
    def primary_metric(self) -> str:
        """Rate of needles that are correct in every token; as published, of needle tokens that are repeated."""
        return "val/needle_exact_match" if self.config.fidelity == "corrected" else "val/echo_rate"

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics of generation and of echoing, for each held-out split and its evenly spaced subset."""
        needle_starts = {split: found.needle_start_N for split, found in self.examples.items()}
        return declare(self.layout, needle_starts, vocab_size=self.vocab_size, top_k=self.config.top_k)

    def at(self, step: int) -> Task:
        """Return the task with the chunks of the curriculum's stage; evaluation always has full length."""
        stage = step // self.config.curriculum_steps_per_stage
        return self._stages[stage] if stage < len(self._stages) else self

    def _batch(self, tokens_NT: Tensor, layout: Layout) -> Batch:
        start = layout.answer_start if self.config.scored == "answer" else 1
        targets_NT = torch.full_like(tokens_NT, IGNORED)
        targets_NT[:, start - 1 : -1] = tokens_NT[:, start:]
        if not (layout.query and self.config.retrieval_weight):
            return Batch(tokens_NT, targets_NT)
        echo_NT = torch.full_like(tokens_NT, IGNORED)
        echo_NT[:, layout.answer_start :] = tokens_NT[:, layout.answer_start :]
        return Batch(tokens_NT, targets_NT, echo_NT)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw fresh examples, or some of the fixed ones with replacement."""
        if self._fixed is None:
            return self._batch(self._train_layout.draw(size, generator).tokens_NT, self._train_layout)
        chosen = torch.randint(len(self._fixed), (size,), generator=generator)
        return self._batch(self._fixed[chosen], self._train_layout)

    def held_out(self, num_sequences: int) -> Batch:
        """Return up to `num_sequences` evenly spaced validation examples."""
        tokens_NT = self.examples["val"].tokens_NT
        return self._batch(tokens_NT[evenly_spaced(len(tokens_NT), num_sequences)], self.layout)

    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the scored next tokens; as published, plus that of an echo."""
        # Use only the end of a sequence if only the answer is scored: the vocabulary may be large.
        length = self.config.needle_length
        part = slice(-length - 1, -1) if self.config.scored == "answer" else slice(None)
        loss = mean_nats(logits_BTV[:, part], batch.targets_BT[:, part])
        if batch.echo_BT is None:
            return loss
        return loss + self.config.retrieval_weight * mean_nats(logits_BTV[:, -length:], batch.echo_BT[:, -length:])

    @torch.no_grad()
    def evaluate(
        self,
        model: LanguageModel,
        *,
        split: Split,
        device: torch.device,
        max_sequences: int | None = None,
        batch_size: int = 64,
    ) -> dict[str, float]:
        """Score examples at full length: one pass over the whole of each, and one for each token generated.

        Raises:
            ValueError: If the model is in training mode, the split does not exist, or a size is below 1.
        """
        fix = "set num_test above 0"
        check_request(model, split, self.splits, max_sequences=max_sequences, batch_size=batch_size, fix=fix)
        tokens_NT, needle_start_N = self.examples[split]
        chosen_N = evenly_spaced(len(needle_start_N), max_sequences)
        parts = []
        for part_B in chosen_N.split(batch_size):
            examples = Examples(tokens_NT[part_B].to(device), needle_start_N[part_B].to(device))
            parts.append(score_examples(model, examples, self.layout, self.config.top_k))
        scores = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
        if max_sequences is None:
            scores |= self._whole_scores(scores, needle_start_N)
        metrics = {name: float(value_N.mean()) for name, value_N in scores.items()}
        metrics["unshifted_perplexity"] = perplexity(metrics.pop("unshifted_nats"))
        prefix = split if max_sequences is None else f"{split}_subset"
        return {f"{prefix}/{name}": value for name, value in metrics.items()}

    def _whole_scores(self, scores: dict[str, Tensor], needle_start_N: Tensor) -> dict[str, Tensor]:
        """Return the scores by depth and of the first examples."""
        found = {FIRST_ECHO: scores["echo_rate"][:FIRST_EXAMPLES]}
        if self.layout.query:
            bin_N = self.layout.depth_bins(needle_start_N, NUM_DEPTHS)
            for depth in range(NUM_DEPTHS):
                found[depth_metric(depth)] = scores["needle_exact_match"][bin_N == depth]
        return found

    def references(self) -> dict[str, dict[str, float]]:
        """Return the expected scores of models that retrieve nothing; see `metrics`."""
        return reference_scores(self.layout, self.splits, top_k=self.config.top_k)
