"""TrialConfig: everything that determines what a trial computes, except its seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from trainables.architectures.base import ArchitectureConfig
from trainables.config.initial_weights import BACKBONE, RESUME, ResumeConfig
from trainables.config.training import BudgetConfig, OptimizerConfig, check_steps
from trainables.plugins.files import origin_of
from trainables.registry import ARCHITECTURES, TASKS, Plugin
from trainables.schema import Schema, without_added
from trainables.tasks.base import TaskConfig


class PretrainingConfig(Schema):
    """How the backbone is trained, for an architecture that needs a pretrained one.

    It is trained once, with one seed, and shared by all arms and seeds that need the same one: a fixed factor of
    the study, over which the replicates do not average.
    """

    task: Annotated[SerializeAsAny[TaskConfig], BeforeValidator(TASKS.parse)]
    optimizer: OptimizerConfig = OptimizerConfig()
    budget: BudgetConfig
    seed: int = Field(0, ge=0)
    """Seed of the one replicate that trains it."""

    @model_validator(mode="after")
    def _budget_is_long_enough(self) -> PretrainingConfig:
        check_steps(self.optimizer, self.budget)
        return self


class TrialConfig(Schema):
    """One point of the space: architecture, task, optimiser and budget; the seed is not part of it."""

    architecture: Annotated[SerializeAsAny[ArchitectureConfig], BeforeValidator(ARCHITECTURES.parse)]
    task: Annotated[SerializeAsAny[TaskConfig], BeforeValidator(TASKS.parse)]
    optimizer: OptimizerConfig = OptimizerConfig()
    budget: BudgetConfig
    pretraining: PretrainingConfig | None = None
    """How the backbone is trained; for architectures that need a pretrained one, and ignored for others."""
    resume_from: ResumeConfig | None = None
    """Which weights to start from. Default: a random initialisation by seed."""

    @model_validator(mode="after")
    def _budget_is_long_enough(self) -> TrialConfig:
        check_steps(self.optimizer, self.budget)
        return self

    @model_validator(mode="after")
    def _backbone_is_trained_somehow(self) -> TrialConfig:
        if self.architecture.to_pretrain() is not None and self.pretraining is None:
            raise ValueError(
                f"architecture '{self.architecture.name}' wants its backbone trained first: say how under "
                "pretraining, as {task: …, optimizer: …, budget: …}"
            )
        return self

    @property
    def backbone(self) -> TrialConfig | None:
        """The configuration that trains the backbone; None if there is none to train."""
        given = self.pretraining
        architecture = None if given is None else self.architecture.to_pretrain()
        if given is None or architecture is None:
            return None
        return TrialConfig(
            architecture=architecture, task=given.task, optimizer=given.optimizer, budget=given.budget
        )

    @property
    def roles(self) -> frozenset[str]:
        """Roles in which weights of other replicates are needed before the first step."""
        return frozenset(
            role
            for role, needed in ((BACKBONE, self.backbone is not None), (RESUME, self.resume_from is not None))
            if needed
        )

    @property
    def plugins(self) -> dict[str, Plugin]:
        """The plugins that define the architecture and the task, by part; empty if both are the library's."""
        plugins = {"architecture": origin_of(type(self.architecture)), "task": origin_of(type(self.task))}
        return {part: plugin for part, plugin in plugins.items() if plugin is not None}

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result, with the versions of the code that reads them.

        A plugin also counts with its hash, so that its author need not raise the version at every edit.
        """
        return {
            **self._start(),
            **{f"{part}_plugin": plugin.sha256 for part, plugin in self.plugins.items()},
            "architecture": _counted(self.architecture, self.architecture.canonical()),
            "architecture_version": ARCHITECTURES.version(self.architecture.name),
            "task": _counted(self.task, self.task.canonical()),
            "task_version": TASKS.version(self.task.name),
            "optimizer": _counted(self.optimizer),
            "budget": _counted(self.budget),
        }

    @property
    def evaluates_only(self) -> bool:
        """Whether a trained model is only scored, as it was at the end of its training."""
        return self.budget.steps == 0 and self.resume_from is not None and not self.resume_from.states

    def earlier(self) -> list[tuple[TrialConfig, int]]:
        """Return what this configuration is equal to until its changes begin: each with the first step that
        differs, the last one first."""
        changes = self.optimizer.changes
        return [
            (
                self.model_copy(
                    update={"optimizer": self.optimizer.model_copy(update={"changes": changes[:count]})}
                ),
                changes[count].from_step,
            )
            for count in range(len(changes) - 1, -1, -1)
        ]

    def _start(self) -> dict[str, Any]:
        """Return which states are loaded; whose weights they are is passed to `config_id`."""
        if self.resume_from is None:
            return {}
        return {"states": "as trained" if self.evaluates_only else sorted(self.resume_from.states)}


def _counted(part: Schema, canonical: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what of `part` enters the configuration id: its canonical form, or all fields if it has none."""
    return without_added(part.model_dump(mode="json") if canonical is None else canonical, part.added)


def config_id(config: TrialConfig, data_hash: str, weight_sources: Mapping[str, str] | None = None) -> str:
    """Return the id of a configuration: equal for equal results, 12 hexadecimal digits.

    Args:
        config: The configuration; fields without effect (a sign at zero coupling) do not count.
        data_hash: Hash of the data the task trains on, so that other data is another configuration.
        weight_sources: Identities of the weights it starts from, by role, as in `Dependency.identity`.
    """
    named = {
        **config.canonical(),
        "data_hash": data_hash,
        **({"origins": dict(weight_sources)} if weight_sources else {}),
    }
    text = json.dumps(named, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
