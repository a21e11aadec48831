"""The fields of the needle task."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trainables.registry import register_task
from trainables.tasks.needle.layout import MIN_RESERVED, NUM_DEPTHS, QUERY_SYMBOLS, Layout
from trainables.tasks.needle.names import FIRST_ECHO, depth_metric, echo_names, retrieval_names
from trainables.tasks.synthetic import SyntheticConfig

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

    builds = "trainables.tasks.needle.task:NeedleTask"
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

    @property
    def score_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The published scores, and those of what is generated; that also by depth."""
        retrieved = retrieval_names(self.top_k) if self.query else ()
        depths = map(depth_metric, range(NUM_DEPTHS if self.query else 0))
        return (*echo_names(self.top_k), *retrieved), (FIRST_ECHO, *depths)

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
