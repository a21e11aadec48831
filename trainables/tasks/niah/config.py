"""The fields of the task `niah`: its text, its grid of lengths and depths, and how many items."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainables.data.corpora import absolute_corpus, canonical_corpus, check_corpus, check_corpus_name
from trainables.registry import register_task
from trainables.tasks.niah.wording import ANSWER, Wording
from trainables.tasks.retrieval import RetrievalConfig
from trainables.tasks.retrieval.config import MAX_ITEMS, Lengths

NOISE = "noise"
PERCENT = 100


@register_task("niah", version=1)
class NiahConfig(RetrievalConfig):
    """A sentence with random digits, hidden at each depth of haystacks of each length, and then asked for."""

    builds = "trainables.tasks.niah.task:NiahTask"

    name: Literal["niah"] = "niah"
    context_length: int = Field(512, ge=16, le=10_000_000)
    """Tokens of a training sequence: an item of any length up to that, with its needle at any depth."""
    lengths: Lengths = (512, 1024)
    """Most tokens of a prompt with its answer, ascending; the haystack has as many whole sentences as fit."""
    depths: Annotated[tuple[float, ...], Field(strict=False, min_length=1)] = (0.0, 0.5, 1.0)
    """Where in the haystack the needle is put, as fractions of its tokens, ascending, to two decimals: at the end
    of the last sentence before that place."""
    val_items: int = Field(10, ge=1, le=MAX_ITEMS)
    """Items of each length and depth."""
    test_items: int = Field(0, ge=0, le=MAX_ITEMS)
    """As many for test; 0: no test split."""
    digits: int = Field(5, ge=1, le=18)
    """Of an answer, each uniformly random."""
    haystack: str = NOISE
    """`noise`, the sentences of `noise` again and again, or a corpus, as the task `language` takes it; each item
    then has its own part of it."""
    noise: str = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
    instruction: str = (
        "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will quiz "
        "you about the important information there.\n"
    )
    """Before the haystack."""
    needle: str = f"The pass key is {ANSWER}. Remember it. {ANSWER} is the pass key."
    """The sentence that is hidden; `{answer}` stands for the digits."""
    question: str = "\nWhat is the pass key?"
    """After the haystack."""
    answer_prefix: str = " The pass key is"
    """The beginning of the answer, which the model continues; in a chat, its own words."""

    @field_validator("haystack")
    @classmethod
    def _known_haystack(cls, value: str) -> str:
        return value if value == NOISE else check_corpus_name(value)

    @field_validator("depths")
    @classmethod
    def _depths_are_fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for depth in value:
            if not 0 <= depth <= 1:
                near = f"; {depth:g} % is {depth / PERCENT:g}" if 1 < depth <= PERCENT else ""
                raise ValueError(f"depth {depth:g} must be from 0, before the haystack, to 1, after it{near}")
            if abs(depth * PERCENT - round(depth * PERCENT)) > 1e-9:
                raise ValueError(f"depth {depth:g} must have at most two decimals: metrics are named in percent")
        if sorted(set(value)) != list(value):
            raise ValueError(f"depths={list(value)} must ascend")
        return value

    @model_validator(mode="after")
    def _lengths_ascend(self) -> Self:
        if sorted(set(self.lengths)) != list(self.lengths):
            raise ValueError(f"lengths={list(self.lengths)} must ascend")
        return self

    @model_validator(mode="after")
    def _items_fit(self) -> Self:
        self.wording.check()
        if self.haystack == NOISE and self.tokenizer in {"byte", "char"}:
            text = self.wording.smallest(self.digits, self.noise)
            size = len(text.encode("utf-8") if self.tokenizer == "byte" else text)
            for field, length in (("lengths", self.lengths[0]), ("context_length", self.context_length)):
                check_fits(field, length, size, self.tokenizer)
        return self

    @property
    def microbatch_invariant(self) -> bool:
        """Whether every sequence has equally many scored positions."""
        return self.scored == "answer" and self.tokenizer in {"byte", "char"}

    @property
    def wording(self) -> Wording:
        """The text of a prompt."""
        return Wording(self.instruction, self.needle, self.question, self.answer_prefix)

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task on bytes, and one on characters with items by seed."""
        short: dict[str, Any] = {
            "instruction": "",
            "noise": "It rains. Sun.",
            "needle": f"Key {ANSWER}.",
            "question": " Key?",
            "answer_prefix": "",
            "digits": 3,
            "context_length": 64,
        }
        variants: list[dict[str, Any]] = [
            {"lengths": [40, 70], "depths": [0.0, 0.3, 1.0], "val_items": 5, "test_items": 2},
            {
                "lengths": [120],
                "depths": [0.5],
                "val_items": 8,
                "tokenizer": "char",
                "items": "by_seed",
                "scored": "all",
            },
        ]
        return [cls.model_validate({**short, **variant}) for variant in variants]

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result: of a corpus not the path, but the text."""
        fields = super().canonical()
        if self.haystack != NOISE:
            del fields["noise"]
            fields["haystack"] = canonical_corpus(self.haystack)
        return fields

    def check_files(self, data_dir: Path | None) -> None:
        """Check also that the haystack's corpus exists."""
        super().check_files(data_dir)
        if self.haystack != NOISE:
            check_corpus(self.haystack, data_dir)

    def with_absolute_paths(self, data_dir: Path | None) -> NiahConfig:
        """Return the configuration with the paths of local data made absolute."""
        found = super().with_absolute_paths(data_dir)
        changes = {} if self.haystack == NOISE else {"haystack": absolute_corpus(self.haystack, data_dir)}
        return found.model_copy(update=changes)  # type: ignore[return-value]


def check_fits(field: str, length: int, size: int, tokenizer: str) -> None:
    """Refuse a length that has no room for the needle and a sentence of the haystack.

    Raises:
        ValueError: If `size` tokens do not fit.
    """
    if size > length:
        raise ValueError(
            f"the needle does not fit: {field}={length} tokens, but instruction, one sentence, needle, question "
            f"and answer take {size} with tokenizer={tokenizer}; give it {size} or more, or shorten the texts"
        )
