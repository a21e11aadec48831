"""What the configurations of synthetic tasks share: how many examples are drawn, and with which seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from trainables.tasks.base import TaskConfig

if TYPE_CHECKING:
    from trainables.tasks.base.task import Task

MIN_HELD_OUT = 20


class SyntheticConfig(TaskConfig):
    """Number and seed of the fixed examples."""

    num_train: int | None = Field(None, ge=1)
    """Examples of a fixed training set, drawn from with replacement. None: every example is fresh."""
    num_val: int = Field(1000, ge=MIN_HELD_OUT)
    num_test: int = Field(1000, ge=0)
    """Examples for test, at least 20; 0: no test split."""
    data_seed: int = Field(0, ge=0)
    """Seed of the fixed examples; fresh ones depend on the replicate's seed."""

    @field_validator("num_test")
    @classmethod
    def _enough_or_none(cls, value: int) -> int:
        if 0 < value < MIN_HELD_OUT:
            raise ValueError(f"num_test={value} must be 0 or at least {MIN_HELD_OUT}")
        return value

    @property
    def microbatch_invariant(self) -> bool:
        """Every example has equally many scored positions."""
        return True

    @property
    def score_names(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Names of the metrics without their split: those of a split and of its subset, and those of a whole split
        only. None: only the task itself knows them."""
        return None

    @property
    def metric_names(self) -> tuple[str, ...] | None:
        """The scores of each held-out split and its subset."""
        if self.score_names is None:
            return None
        of_any, of_whole = self.score_names
        splits = ("val", "test") if self.num_test else ("val",)
        return tuple(
            f"{part}/{name}"
            for split in splits
            for part, names in ((split, (*of_any, *of_whole)), (f"{split}_subset", of_any))
            for name in names
        )

    def build(self, data_dir: object) -> Task:
        """Draw the held-out examples, and the training examples if they are fixed."""
        task: Task = self.built_class()(self)
        return task
