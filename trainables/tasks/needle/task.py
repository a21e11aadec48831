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
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED, Batch
from trainables.metric import Split
from trainables.registry import register_task
from trainables.tasks.base import Task
from trainables.tasks.needle.layout import MIN_RESERVED, QUERY_SYMBOLS, Layout, NeedleExamples
from trainables.tasks.needle.metrics import (
    FIRST_ECHO,
    FIRST_EXAMPLES,
    NUM_DEPTHS,
    depth_metric,
    kinds,
    reference_scores,
)
from trainables.tasks.needle.scores import score_examples
from trainables.tasks.scoring import mean_nats, perplexity
from trainables.tasks.synthetic import MetricSpec, SyntheticConfig, SyntheticTask

AS_PUBLISHED: dict[str, Any] = {
    "marker": False,
    "placement": "inner_chunks",
    "num_train": 1000,
    "retrieval_weight": 0.5,
}
"""The published task, at any size."""


@register_task("needle", version=1)
class NeedleConfig(SyntheticConfig):
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
            scored=self.scored,
        )

    def build(self, data_dir: object) -> NeedleTask:
        """Draw the held-out examples, and the training examples if they are fixed."""
        return NeedleTask(self)


class NeedleTask(SyntheticTask[NeedleExamples]):
    """Held-out examples, and a source of training examples that a curriculum makes shorter."""

    stream_name = "needle"
    config: NeedleConfig

    def __init__(self, config: NeedleConfig) -> None:
        self.layout = config.layout(config.chunk_length)
        self._chunk_length, self._train_layout = config.chunk_length, self.layout
        super().__init__(config, vocab_size=config.vocab_size, context_length=self.layout.length)
        self._stages = tuple(self._stage(chunk_length) for chunk_length in config.curriculum)

    def _draw(self, size: int, generator: torch.Generator) -> NeedleExamples:
        return self._train_layout.draw(size, generator)

    def _draw_held_out(self, size: int, generator: torch.Generator) -> NeedleExamples:
        return self.layout.draw(size, generator, stratified=True)

    def _training_stream(self) -> torch.Generator:
        return self._stream("train", str(self._chunk_length))

    def _stage(self, chunk_length: int) -> NeedleTask:
        stage = copy.copy(self)
        stage._chunk_length, stage._train_layout = chunk_length, self.config.layout(chunk_length)
        stage._fixed = stage._fixed_training()
        return stage

    def _hash(self) -> str:
        digest = hashlib.sha256()
        parts = {} if self._fixed is None else {"train": self._fixed.tokens_NT}
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
    def primary_metric(self) -> str:
        """Rate of needles that are correct in every token; as published, of needle tokens that are repeated."""
        return "val/needle_exact_match" if self.config.fidelity == "corrected" else "val/echo_rate"

    def _kinds(self, split: Split) -> list[MetricSpec]:
        starts_N = self.examples[split].needle_start_N
        return kinds(self.layout, starts_N, vocab_size=self.vocab_size, top_k=self.config.top_k)

    def at(self, step: int) -> Task:
        """Return the task with the chunks of the curriculum's stage; evaluation always has full length."""
        stage = step // self.config.curriculum_steps_per_stage
        return self._stages[stage] if stage < len(self._stages) else self

    def _as_batch(self, examples: NeedleExamples) -> Batch:
        """Return the examples; as published, with the answer's own tokens as targets of the retrieval loss."""
        if not (self.layout.query and self.config.retrieval_weight):
            return super()._as_batch(examples)
        echo_NT = torch.full_like(examples.tokens_NT, IGNORED)
        length = self.config.needle_length
        echo_NT[:, -length:] = examples.tokens_NT[:, -length:]
        return Batch(examples.tokens_NT, examples.targets_NT, echo_NT)

    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the scored next tokens; as published, plus that of an echo."""
        # Use only the end of a sequence if only the answer is scored: the vocabulary may be large.
        length = self.config.needle_length
        part = slice(-length - 1, -1) if self.config.scored == "answer" else slice(None)
        loss = mean_nats(logits_BTV[:, part], batch.targets_BT[:, part])
        if batch.echo_BT is None:
            return loss
        return loss + self.config.retrieval_weight * mean_nats(logits_BTV[:, -length:], batch.echo_BT[:, -length:])

    def _scores(self, model: LanguageModel, examples: NeedleExamples) -> dict[str, Tensor]:
        """Score one pass over the whole of each example, and one for each token generated."""
        return score_examples(model, examples, self.layout, self.config.top_k)

    def _whole_scores(
        self, model: LanguageModel, split: Split, scores: dict[str, Tensor], **options: Any
    ) -> dict[str, Tensor]:
        """Return the scores by depth and of the first examples."""
        found = {FIRST_ECHO: scores["echo_rate"][:FIRST_EXAMPLES]}
        if self.layout.query:
            bin_N = self.layout.depth_bins(self.examples[split].needle_start_N, NUM_DEPTHS)
            for depth in range(NUM_DEPTHS):
                found[depth_metric(depth)] = scores["needle_exact_match"][bin_N == depth]
        return found

    def _means(self, scores: dict[str, Tensor]) -> dict[str, float]:
        means = super()._means(scores)
        means["unshifted_perplexity"] = perplexity(means.pop("unshifted_nats"))
        return means

    def references(self) -> dict[str, dict[str, float]]:
        """Return the expected scores of models that retrieve nothing; see `metrics`."""
        return reference_scores(self.layout, self.splits, top_k=self.config.top_k)
