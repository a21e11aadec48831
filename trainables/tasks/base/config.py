"""The interface of every task's configuration."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self

from trainables.schema import NamedConfig

if TYPE_CHECKING:
    from trainables.tasks.base.task import Task


class TaskConfig(NamedConfig):
    """The configuration of a task."""

    @property
    def violates(self) -> frozenset[str]:
        """Contracts this configuration is *known* to break, such as `echo`; tests check that it does."""
        return frozenset()

    @property
    def withholds_answers(self) -> bool:
        """Whether targets never appear in later inputs. Tests then check that seeing the next token does not help;
        otherwise they check that the next token is the target."""
        return False

    @property
    def microbatch_invariant(self) -> bool:
        """Whether the loss of a batch is the mean of its sequences' losses: every sequence has equally many scored
        positions. Only if a task declares this, a batch may be split after an out-of-memory."""
        return False

    @property
    def libraries_mib(self) -> float:
        """Memory that a worker's process takes for libraries which only this task imports, MiB."""
        return 0.0

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return the configurations that the contract suite checks; they must be small, and need no network."""
        return [cls.model_validate({})]

    def with_absolute_paths(self, data_dir: Path | None) -> TaskConfig:
        """Return the same configuration with every path absolute, because workers run in other folders."""
        return self

    def of_length(self, length: int) -> Self:
        """Return the same task with training sequences of `length` tokens.

        Raises:
            ValueError: If its sequences have one length only, or not this one.
        """
        if "context_length" not in type(self).model_fields:
            raise ValueError(f"task '{self.name}' has no context_length: its sequences have one length only")
        fields = {**self.model_dump(), "context_length": length}
        if "evaluation_length" in fields:
            fields["evaluation_length"] = None  # longer windows, which would be scored beside these
        return type(self).model_validate(fields)

    @property
    def metric_names(self) -> tuple[str, ...] | None:
        """Names of the task's metrics, if its fields alone decide them: a study is checked by them before anything
        is loaded. None: they are known only when the task is built."""
        return None

    def check_files(self, data_dir: Path | None) -> None:
        """Check, without PyTorch and without reading them, that the data exist and suffice.

        Args:
            data_dir: As for `build`.

        Raises:
            DataError: If they do not; the message says what to do.
        """
        return

    @abstractmethod
    def build(self, data_dir: Path | None) -> Task:
        """Load the data and return the task.

        Args:
            data_dir: Folder with local corpora (`PHASESWEEP_DATA`), if the user has one.

        Raises:
            DataError: If the data is unavailable.
        """
