"""The fields that tasks share whose items are a long prompt and a short answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from trainables.data.pretrained_files import is_source
from trainables.data.tokenizers.build import absolute_tokenizer, check_tokenizer, check_tokenizer_name
from trainables.tasks.base import TaskConfig

if TYPE_CHECKING:
    from trainables.tasks.base.task import Task


MAX_ITEMS = 10_000
"""Items of one kind; making more takes hours."""
Lengths = Annotated[tuple[Annotated[int, Field(ge=16, le=10_000_000)], ...], Field(strict=False, min_length=1)]
"""Lengths in tokens."""


class RetrievalConfig(TaskConfig):
    """The tokenizer, and which items there are."""

    added = {"scored": "answer"}

    reads_any_text: ClassVar[bool] = False
    """Whether the characters of the prompts are not known beforehand, so that none can be tokens."""

    tokenizer: str = "byte"
    """`byte`, `char` (the characters that occur), or `hf:PATH_OR_REPOSITORY` or `package:NAME`, that of a
    pretrained model."""
    chat: bool = False
    """Whether the prompt is put into the chat template of a pretrained model's tokenizer."""
    context_length: int = Field(256, ge=16, le=10_000_000)
    """Tokens of a training sequence; an item with its answer may be shorter."""
    scored: Literal["answer", "all"] = "answer"
    """Which next tokens are trained on. `all` also teaches the words of the prompt, and to copy within it."""
    items: Literal["fixed", "by_seed"] = "fixed"
    """`fixed`: all replicates answer the same items. `by_seed`: each seed has its own, so that replicates of a
    model that is not trained differ."""
    data_seed: int = Field(0, ge=0)
    """Seed of the items."""
    probe_sequences: int = Field(64, ge=1)
    """Sequences of `context_length` that the probes see. Scoring reads at most as many tokens in one pass, or one
    item: less memory, and for a pretrained model less time."""

    @field_validator("tokenizer")
    @classmethod
    def _known_tokenizer(cls, value: str) -> str:
        if value == "bpe":
            raise ValueError(
                "is learnt from a training text, and this task has none; choose byte, char, or that of a "
                "pretrained model, hf:PATH_OR_REPOSITORY or package:NAME"
            )
        if cls.reads_any_text and value == "char":
            raise ValueError(
                "needs to know all characters, and these prompts may hold any; choose byte, or that of a "
                "pretrained model, hf:PATH_OR_REPOSITORY or package:NAME"
            )
        return check_tokenizer_name(value)

    @field_validator("chat")
    @classmethod
    def _has_template(cls, value: bool, info: Any) -> bool:
        tokenizer = info.data.get("tokenizer", "hf:")
        if value and not is_source(tokenizer) and tokenizer != "hf:":
            raise ValueError(
                "needs a tokenizer with a chat template, that of a pretrained model, and "
                f"tokenizer={tokenizer} has none"
            )
        return value

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result; which pretrained tokenizer it is, is part of the data hash."""
        fields: dict[str, Any] = self.model_dump(mode="json")
        if is_source(self.tokenizer):
            fields["tokenizer"] = "hf"
        return fields

    def with_absolute_paths(self, data_dir: Path | None) -> RetrievalConfig:
        """Return the configuration with the path of a local tokenizer made absolute."""
        return self.model_copy(update={"tokenizer": absolute_tokenizer(self.tokenizer)})

    def check_files(self, data_dir: Path | None) -> None:
        """Check that the files of a pretrained tokenizer exist."""
        check_tokenizer(self.tokenizer)

    def build(self, data_dir: Path | None) -> Task:
        """Make the items.

        Raises:
            DataError: If the tokenizer is unavailable, or an item does not fit.
        """
        task: Task = self.built_class()(self, data_dir)
        return task
