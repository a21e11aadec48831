"""The fields of the copy task."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trainables.registry import register_task
from trainables.tasks.synthetic import SyntheticConfig

FIRST_SYMBOL = 3
"""As published: symbols are tokens 3 to 19 of 20."""


RATES = ("copy_accuracy", "copy_exact_match")


def other_metric(name: str, num_symbols: int) -> str:
    """Return the name of a rate in examples with another number of symbols."""
    return f"{name}_symbols_{num_symbols}"


@register_task("copy", version=1)
class CopyConfig(SyntheticConfig):
    """Copying: immediately as published, after a delay as corrected.

    As published, training has 100 to 500 symbols, and tests have 500, 1,000, 2,000 and 5,000: `fidelity:
    as_published, min_symbols: 100, num_symbols: 500, scored_symbols: [1000, 2000, 5000]`.
    """

    builds = "trainables.tasks.copying.task:CopyTask"
    published = {"lengths": "mixed"}
    added = {"lengths": "equal"}

    name: Literal["copy"] = "copy"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    vocab_size: int = Field(20, ge=FIRST_SYMBOL + 2)
    """The symbols are the tokens from 3 on."""
    num_symbols: int = Field(16, ge=1)
    """Symbols of a sequence; in training the largest number."""
    min_symbols: int | None = Field(None, ge=1)
    """Smallest number of symbols in training, from which up to `num_symbols` it is random. None: always
    `num_symbols`."""
    lengths: Literal["equal", "mixed"] = "equal"
    """Whether all sequences of a training batch have one random number of symbols, or, as published, each has its
    own and the batch is padded."""
    delay: int = Field(16, ge=0)
    """Blanks between the symbols and the marker that starts the answer; as published there is no delay."""
    scored_symbols: Annotated[tuple[int, ...], Field(strict=False)] = ()
    """Further numbers of symbols that are scored, ascending, each in as many examples as a split has; more than
    `num_symbols` are lengths that training has not seen."""

    @model_validator(mode="after")
    def _lengths_to_train_on_exist(self) -> CopyConfig:
        if self.min_symbols is None:
            return self
        if self.min_symbols > self.num_symbols:
            raise ValueError(f"min_symbols={self.min_symbols} must be at most num_symbols={self.num_symbols}")
        if self.num_train is not None:
            raise ValueError(
                f"min_symbols={self.min_symbols} needs fresh examples, and num_train={self.num_train} fixes them: "
                "leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _other_lengths_differ(self) -> CopyConfig:
        others = list(self.scored_symbols)
        if others != sorted({number for number in others if number >= 1} - {self.num_symbols}):
            raise ValueError(
                f"scored_symbols={others} must ascend from 1 or more, without num_symbols={self.num_symbols} itself"
            )
        return self

    @property
    def violates(self) -> frozenset[str]:
        """As published, the target is the token being read."""
        return frozenset({"batches", "echo"} if self.fidelity == "as_published" else ())

    @property
    def _has_one_length(self) -> bool:
        return self.min_symbols in (None, self.num_symbols)

    @property
    def microbatch_invariant(self) -> bool:
        """False if the sequences of a batch have different numbers of symbols."""
        return self.lengths == "equal" or self._has_one_length

    @property
    def score_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Scores of the copy; both rates also with other numbers of symbols."""
        others = tuple(other_metric(name, number) for number in self.scored_symbols for name in RATES)
        return (*RATES, "copy_nats_per_token"), others

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task of each fidelity, and one with mixed lengths."""
        small = {"num_symbols": 6, "delay": 4, "num_val": 40, "num_test": 20, "scored_symbols": [3, 12]}
        options: list[dict[str, Any]] = [
            {},
            {"fidelity": "as_published"},
            {"fidelity": "as_published", "min_symbols": 4},
        ]
        return [cls.model_validate({**small, **option}) for option in options]

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result."""
        fields = super().canonical()
        if self.fidelity == "as_published":
            del fields["delay"]
        if not self.scored_symbols:
            del fields["scored_symbols"]
        if self._has_one_length:
            del fields["min_symbols"], fields["lengths"]
        return fields

    def length(self, num_symbols: int) -> int:
        """Return the tokens of an example with so many symbols."""
        return num_symbols if self.fidelity == "as_published" else 2 * num_symbols + self.delay
