"""The fields of the recall task."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trainables.registry import register_task
from trainables.tasks.recall.layout import Filler, Layout
from trainables.tasks.recall.names import NUM_DISTANCES, SCORES, distance_metric, pairs_metric
from trainables.tasks.synthetic import SyntheticConfig

AS_PUBLISHED: dict[str, Any] = {
    "marker": True,
    "unique_values": False,
    "shared_pool": True,
    "repeated_queries": True,
    "power": 1.0,
    "num_train": 2000,
}
"""The associative recall of the TPI notes, at any size."""

Counts = Annotated[tuple[int, ...], Field(strict=False)]


@register_task("recall", version=1)
class RecallConfig(SyntheticConfig):
    """Multi-query associative recall; `fidelity: as_published` sets the defaults of every field in `AS_PUBLISHED`.

    Sizes of the literature: a vocabulary of 8,192 and (context_length, num_pairs) of (64, 4), (128, 8), (256, 16)
    or (512, 64).
    """

    builds = "trainables.tasks.recall.task:RecallTask"
    published = AS_PUBLISHED
    added = {"shared_pool": False, "repeated_queries": False}

    name: Literal["recall"] = "recall"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    vocab_size: int = Field(128, ge=4)
    """The lower half are keys, the upper half values, unless they share a pool; token 0 is blank."""
    context_length: int = Field(64, ge=4)
    """Tokens of an example."""
    num_pairs: int = Field(8, ge=1)
    num_queries: int | None = Field(None, ge=1)
    """Queries; at most as many as pairs. None: as many."""
    repeated_queries: bool = False
    """Whether queried keys are drawn with replacement, as published; otherwise each is queried at most once."""
    shared_pool: bool = False
    """Whether keys and values come from one pool, tokens 4 and above, as published: a token then does not say which
    of the two it is."""
    answers: Literal["withheld", "given"] = "withheld"
    """`withheld`: a query is followed by filler, as in the literature. `given`: by its answer, so that training
    is next-token prediction; then answers can be guessed by elimination."""
    filler: Filler = "blank"
    """What fills the positions between pairs and queries: a blank; keys that the example does not use; or, as in
    the literature, any token, which sometimes is a key of the example."""
    power: float = Field(0.01, gt=0, le=1)
    """Gaps follow a power law: slot i has a probability proportional to i^(power - 1). 1: uniform over slots."""
    marker: bool = False
    """Whether a marker stands before each query."""
    unique_values: bool = True
    """Whether all values of an example are different."""
    curriculum: Counts = ()
    """Numbers of pairs to train on first, ascending, each for some steps; then comes `num_pairs`."""
    curriculum_steps_per_stage: int = Field(500, ge=1)
    """Optimiser steps of a stage of the curriculum."""
    scored_pairs: Counts = ()
    """Smaller numbers of pairs that are scored too, in separate examples, ascending."""

    @model_validator(mode="after")
    def _consistent(self) -> RecallConfig:
        for name in ("curriculum", "scored_pairs"):
            counts = list(getattr(self, name))
            if counts != sorted({count for count in counts if 1 <= count < self.num_pairs}):
                raise ValueError(
                    f"{name}={counts} must ascend from 1 or more and stay below num_pairs={self.num_pairs}"
                )
        if self.num_queries is not None and self.num_queries > self.num_pairs:
            raise ValueError(f"num_queries={self.num_queries} must be at most num_pairs={self.num_pairs}")
        layout = self.layout(self.num_pairs)
        if layout.num_slots < layout.num_queries:
            needed = 2 * layout.num_pairs + layout.slot_width * layout.num_queries
            raise ValueError(
                f"context_length={self.context_length} must be at least {needed}: {layout.num_pairs} pairs of 2 "
                f"tokens, and {layout.num_queries} queries of {layout.slot_width}"
            )
        spare = 1 if self.filler == "other_keys" else 0
        keys, values = layout.num_pairs + spare, layout.num_pairs if self.unique_values else 1
        if layout.num_keys < keys or layout.num_values < values:
            raise ValueError(
                f"vocab_size={self.vocab_size} has {layout.num_keys} keys and {layout.num_values} values; "
                f"num_pairs={self.num_pairs} needs at least {keys} and {values}"
            )
        return self

    @property
    def violates(self) -> frozenset[str]:
        """In a shared pool a key may be its own value: an echo is right as often as a guess in the pool."""
        return frozenset({"echo"} if self.shared_pool else ())

    @property
    def withholds_answers(self) -> bool:
        """Whether a query is followed by filler, not by its answer."""
        return self.answers == "withheld"

    @property
    def score_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Scores of the answers; the accuracy also by distance and by number of pairs."""
        distances = (distance_metric(quarter) for quarter in range(NUM_DISTANCES))
        return SCORES, (*distances, *map(pairs_metric, self.scored_pairs))

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return small tasks: answers withheld and given, filler of each kind, and as published."""
        small = {"vocab_size": 24, "num_pairs": 4, "context_length": 20, "num_val": 40, "num_test": 20}
        variants: list[dict[str, Any]] = [
            {"curriculum": [1, 2], "curriculum_steps_per_stage": 50, "scored_pairs": [2]},
            {"answers": "given", "filler": "other_keys", "num_queries": 3},
            {"fidelity": "as_published", "num_train": 30, "filler": "any_token"},
            {"fidelity": "as_published", "answers": "given"},
        ]
        return [cls.model_validate({**small, **variant}) for variant in variants]

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result; `fidelity` only sets defaults."""
        fields = {**super().canonical(), "num_queries": self.layout(self.num_pairs).num_queries}
        del fields["fidelity"]
        if not self.curriculum:
            del fields["curriculum_steps_per_stage"]
        return fields

    def layout(self, num_pairs: int) -> Layout:
        """Return the layout of an example with `num_pairs` pairs, of which at most as many are queried."""
        return Layout(
            length=self.context_length,
            vocab_size=self.vocab_size,
            num_pairs=num_pairs,
            num_queries=min(self.num_queries or num_pairs, num_pairs),
            marker=self.marker,
            answers_given=self.answers == "given",
            unique_values=self.unique_values,
            shared_pool=self.shared_pool,
            repeated_queries=self.repeated_queries,
            power=self.power,
            filler=self.filler,
        )
