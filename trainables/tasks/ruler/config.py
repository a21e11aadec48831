"""The fields of the task `ruler`: which of its tasks, at which lengths, how many samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trainables.data.tokenizers.build import build_tokenizer
from trainables.registry import register_task
from trainables.tasks.retrieval import RetrievalConfig
from trainables.tasks.retrieval.config import MAX_ITEMS, Lengths
from trainables.tasks.ruler.generators import GENERATORS, TaskName

ALL_TASKS: tuple[TaskName, ...] = tuple(GENERATORS)


@register_task("ruler", version=1)
class RulerConfig(RetrievalConfig):
    """The six tasks of RULER that need no data, with the published prompts."""

    builds = "trainables.tasks.ruler.task:RulerTask"
    reads_any_text = True

    name: Literal["ruler"] = "ruler"
    tasks: Annotated[tuple[TaskName, ...], Field(strict=False, min_length=1)] = ALL_TASKS
    """Which ones. All but `niah_multikey_3`, `vt` and `fwe` draw words from the package wonderwords (extra
    `longcontext`). The worked example of `vt` does not fit in bytes, so with them it is left out by default."""
    lengths: Lengths = (2048,)
    """Most tokens of a prompt with what is generated, ascending; published: 4,096 to 131,072."""
    context_length: int = Field(2048, ge=16, le=10_000_000)
    """Tokens of a training sequence."""
    val_items: int = Field(5, ge=1, le=MAX_ITEMS)
    """Samples of each task and length; published: 500."""
    test_items: int = Field(0, ge=0, le=MAX_ITEMS)
    """As many for test, drawn after those; 0: no test split."""
    data_seed: int = Field(42, ge=0)
    """The published `random_seed`. With `items: by_seed` it is the replicate's seed instead."""
    generated_tokens: int | None = Field(None, ge=1)
    """Most tokens that are generated, if that is less than published: needles 128, vt 30, cwe 120, fwe 50.
    Generation ends earlier when all answers are there."""

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return `fields`, with the tasks that can be made of bytes if the tokens are bytes."""
        if fields.get("tokenizer", "byte") == "byte":
            fields = {"tasks": tuple(task for task in ALL_TASKS if task != "vt"), **fields}
        return super().with_defaults(fields)

    @model_validator(mode="after")
    def _lists_are_sets(self) -> Self:
        if sorted(set(self.lengths)) != list(self.lengths):
            raise ValueError(f"lengths={list(self.lengths)} must ascend")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks={list(self.tasks)} must differ")
        return self

    def check_files(self, data_dir: Path | None) -> None:
        """Check also that the words are there, and that the smallest sample of each task fits every length."""
        super().check_files(data_dir)
        tokenizer = build_tokenizer(self.tokenizer, corpus_text=(), training_text=" ", bpe_vocab_size=0)
        for name in self.tasks:
            for length in sorted({self.context_length, *self.lengths}):
                generator = GENERATORS[name](length, self.data_seed, lambda text: len(tokenizer.encode(text)))
                generator.draw(generator.step)

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task of bytes that needs no word lists."""
        small: dict[str, Any] = {
            "tasks": ["fwe"],
            "lengths": [600, 700],
            "context_length": 600,
            "val_items": 4,
            "test_items": 2,
            "generated_tokens": 24,
        }
        return [cls.model_validate(small)]
