"""The fields of the task `infinitebench`: which of its tasks, at which lengths, and where their files are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trainables.data.corpora import find_file
from trainables.registry import register_task
from trainables.tasks.retrieval import RetrievalConfig
from trainables.tasks.retrieval.config import MAX_ITEMS, Lengths

DrawnName = Literal["passkey", "number_string"]
FileName = Literal[
    "kv_retrieval",
    "math_find",
    "code_run",
    "code_debug",
    "longdialogue_qa_eng",
    "longbook_choice_eng",
    "longbook_qa_eng",
]
DRAWN: tuple[DrawnName, ...] = ("passkey", "number_string")


@register_task("infinitebench", version=1)
class InfiniteBenchConfig(RetrievalConfig):
    """Pass keys and number strings as published, at any length; other tasks of InfiniteBench from their files."""

    builds = "trainables.tasks.infinitebench.task:InfiniteBenchTask"
    reads_any_text = True

    name: Literal["infinitebench"] = "infinitebench"
    tasks: Annotated[tuple[DrawnName, ...], Field(strict=False)] = DRAWN
    """Those that are made here."""
    files: dict[FileName, str] = {}
    """The published files of other tasks, as {task: PATH}, one line of JSON an item; a relative path is looked for
    in `PHASESWEEP_DATA`, then in the working folder."""
    lengths: Lengths = (2048,)
    """Most tokens of a prompt with its answer, ascending: noise has as many lines as fit (published: 5,220, about
    130 thousand tokens); a prompt from a file loses its middle."""
    context_length: int = Field(2048, ge=16, le=10_000_000)
    """Tokens of a training sequence, which is a pass key or a number string."""
    num_positions: int = Field(59, ge=1, le=1_000)
    """Places of the needle, evenly spaced from before the noise to after it; 1: before it."""
    val_items: int = Field(1, ge=1, le=MAX_ITEMS)
    """Items of each place; published: 5 pass keys, 10 number strings."""
    test_items: int = Field(0, ge=0, le=MAX_ITEMS)
    """As many for test; 0: no test split."""
    file_items: int | None = Field(None, ge=1)
    """Leading items of each file. None: all. They are for validation only."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if sorted(set(self.lengths)) != list(self.lengths):
            raise ValueError(f"lengths={list(self.lengths)} must ascend")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks={list(self.tasks)} must differ")
        if not self.tasks and not self.files:
            raise ValueError(f"tasks and files are both empty; choose of {', '.join(DRAWN)}, or give a file")
        return self

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task of bytes."""
        small = {"lengths": [500, 700], "context_length": 512, "num_positions": 3, "test_items": 1}
        return [cls.model_validate(small)]

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result: of the files not the paths, but the text."""
        return {**super().canonical(), "files": sorted(self.files)}

    def with_absolute_paths(self, data_dir: Path | None) -> InfiniteBenchConfig:
        """Return the configuration with the paths of local data made absolute."""
        files = {
            task: str(find_file(path, data_dir, known_as=f"file of {task}, {path}"))
            for task, path in self.files.items()
        }
        found = super().with_absolute_paths(data_dir)
        return found.model_copy(update={"files": files})  # type: ignore[return-value]
