"""The fields of the task `lm_eval`: which tasks of lm-evaluation-harness, and what is trained on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from trainables.data.errors import DataError
from trainables.data.pretrained_files import is_source
from trainables.registry import TASKS, register_task
from trainables.tasks.base import TaskConfig
from trainables.tasks.niah import NiahConfig
from trainables.tasks.retrieval.config import Lengths

if TYPE_CHECKING:
    from trainables.tasks.base.task import Task

HARNESS_MIB = 110.0
RULER_MIB = 1_080.0
"""What the harness adds to a process that has PyTorch, and what it adds with any task of RULER, at its peak: the
names of keys. Measured with lm_eval 0.4.13 and Python 3.11."""
_NEVER_END = {"ruler", "ruler_vt", "ruler_cwe"}
_LEAST_LENGTH = 1_024
"""Tokens below which the harness looks for a prompt that fits, and never ends; `ruler_vt` does so at 768."""


def require_harness() -> None:
    """Refuse to go on without the harness.

    Raises:
        DataError: If it is not installed.
    """
    if find_spec("lm_eval") is None:
        raise DataError(
            "the task lm_eval needs lm-evaluation-harness, which is not installed: pip install "
            "'phasesweep[longcontext]'"
        )


def no_text(config: TaskConfig) -> DataError:
    """Return the error for a task that is trained on without a tokenizer."""
    return DataError(
        f"trained_on: the task '{config.name}' has no tokenizer of text, which the harness's prompts need; choose "
        "one of text: language, lines, niah, ruler, infinitebench"
    )


@register_task("lm_eval", version=1)
class LmEvalConfig(TaskConfig):
    """Another task, and at the end of training also the scores of lm-evaluation-harness (extra `longcontext`)."""

    builds = "trainables.tasks.harness.task:LmEvalTask"

    name: Literal["lm_eval"] = "lm_eval"
    trained_on: Annotated[SerializeAsAny[TaskConfig], BeforeValidator(TASKS.parse)] = Field(
        default_factory=lambda: NiahConfig(val_items=1)
    )
    """The task that is trained on and scored as by itself, for the harness has no training data. Its tokenizer is
    that of the harness's prompts."""
    tasks: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("pass_keys",)
    """Tasks and groups of the harness, such as `niah_single_1` or `ruler_vt`, as far as their data is on this
    machine. `pass_keys` is one of this project: it is loaded at once, where those of the harness take a minute."""
    limit: int | None = Field(20, ge=1)
    """Leading items of each task, and of each length of a task that has several. None: all."""
    max_seq_lengths: Lengths = (512,)
    """Most tokens of a prompt, for tasks of the harness that make theirs: RULER's, and `pass_keys`."""
    num_fewshot: int | None = Field(None, ge=0)
    """Worked examples before each question. None: as the harness's task has it."""
    chat: bool = False
    """Whether the prompt is put into the chat template of a pretrained model's tokenizer."""
    include_path: str | None = None
    """A folder with task files of your own, in the harness's format."""
    items: Literal["fixed", "by_seed"] = "fixed"
    """`by_seed`: tasks of the harness that draw their items draw others for each seed."""
    data_seed: int = Field(0, ge=0)
    """Seed of what the harness draws."""

    @model_validator(mode="after")
    def _chat_has_a_template(self) -> Self:
        if self.chat and self.tokenizer_source is None:
            raise ValueError(
                "chat=true needs a tokenizer with a chat template, that of a pretrained model; set "
                "trained_on.tokenizer to hf:PATH_OR_REPOSITORY or package:NAME"
            )
        return self

    @model_validator(mode="after")
    def _harness_ends(self) -> Self:
        endless = sorted(_NEVER_END.intersection(self.tasks))
        if endless and min(self.max_seq_lengths) < _LEAST_LENGTH:
            raise ValueError(
                f"max_seq_lengths={list(self.max_seq_lengths)}: for {', '.join(endless)} lm-evaluation-harness "
                f"finds no prompt that is short enough, and never ends; give at least {_LEAST_LENGTH:,}, or use "
                "the task ruler"
            )
        return self

    @property
    def libraries_mib(self) -> float:
        """Memory of the harness; with a task of RULER that of the names from which it draws."""
        is_ruler = any(task.startswith(("niah_", "ruler")) for task in self.tasks)
        return self.trained_on.libraries_mib + (RULER_MIB if is_ruler else HARNESS_MIB)

    @property
    def tokenizer_source(self) -> str | None:
        """The pretrained model whose tokenizer is used; None if it is that of no model."""
        tokenizer = getattr(self.trained_on, "tokenizer", None)
        return tokenizer if isinstance(tokenizer, str) and is_source(tokenizer) else None

    @property
    def violates(self) -> frozenset[str]:
        """What the task that is trained on breaks."""
        return self.trained_on.violates

    @property
    def withholds_answers(self) -> bool:
        """As the task that is trained on."""
        return self.trained_on.withholds_answers

    @property
    def microbatch_invariant(self) -> bool:
        """As the task that is trained on."""
        return self.trained_on.microbatch_invariant

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task."""
        trained_on = NiahConfig.contract_configs()[0]
        return [cls.model_validate({"trained_on": trained_on, "limit": 2, "max_seq_lengths": [300]})]

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result; what the harness asks is part of the data hash."""
        fields: dict[str, Any] = self.model_dump(mode="json", exclude={"include_path", "trained_on"})
        inner = {**self.trained_on.canonical(), "version": TASKS.version(self.trained_on.name)}
        return {**fields, "trained_on": inner}

    def with_absolute_paths(self, data_dir: Path | None) -> LmEvalConfig:
        """Return the configuration with the paths of local data made absolute."""
        path = self.include_path
        changes = {
            "trained_on": self.trained_on.with_absolute_paths(data_dir),
            "include_path": None if path is None else str(Path(path).expanduser().resolve()),
        }
        return self.model_copy(update=changes)

    def check_files(self, data_dir: Path | None) -> None:
        """Check that the harness is installed, and the files of the task that is trained on."""
        require_harness()
        inner = type(self.trained_on)
        is_of_a_plugin = not inner.__module__.startswith("trainables.")  # its task may have one of its own
        if "tokenizer" not in inner.model_fields and not is_of_a_plugin:
            raise no_text(self.trained_on)
        self.trained_on.check_files(data_dir)

    def build(self, data_dir: Path | None) -> Task:
        """Build the task that is trained on, and load those of the harness.

        Raises:
            DataError: If the harness is not installed, has no such task, or its data is not here.
        """
        task: Task = self.built_class()(self, data_dir)
        return task
