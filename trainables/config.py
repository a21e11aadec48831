"""TrialConfig: everything that decides what a trial computes, except its seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

import trainables.architectures
import trainables.tasks  # noqa: F401  registers the tasks, as the line above the architectures
from trainables.architectures.base import ArchitectureConfig
from trainables.plugins import Plugin, origin_of
from trainables.registry import ARCHITECTURES, TASKS
from trainables.schema import Schema
from trainables.tasks.base import TaskConfig
from trainables.training.distributed import Sharding
from trainables.training.origins import BACKBONE, RESUME


class OptimizerConfig(Schema):
    """The optimiser and its learning-rate schedule."""

    name: Literal["adamw", "adamw_8bit"] = "adamw"
    """`adamw_8bit` keeps its state in 8 bits (bitsandbytes)."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate, reached after the warm-up."""
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay, multiplied by the learning rate."""
    weight_decay_on: Literal["matrices", "all_but_bias"] = "matrices"
    """`all_but_bias` also decays norms, couplings and frequencies, as PhaseGPT's code does."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup_steps: int = Field(0, ge=0)
    """Optimiser steps of linear warm-up."""
    final_fraction: float = Field(0.1, ge=0, le=1)
    """Learning rate at the last step as a fraction of the peak; unused by `constant`."""
    clip_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to at most this global L2 norm."""


class BudgetConfig(Schema):
    """How long a replicate trains and how often it reports."""

    steps: int = Field(ge=0)
    """Optimiser steps; 0 scores the model as it starts, as a control."""
    batch_size: int = Field(ge=1)
    """Sequences in one optimiser step, whatever the micro-batch."""
    report_every: int = Field(ge=1)
    """Optimiser steps between reports; the last step always reports."""
    eval_sequences: int = Field(64, ge=1)
    """Sequences of the evenly spaced validation subset scored at each report. The last report scores all."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` runs the forward pass under autocast; parameters stay in float32."""
    divergence_loss: float = Field(20.0, gt=0)
    """A training loss above this, in nats a token, ends the replicate as diverged; so does a non-finite one."""
    score_at: Literal["last", "best"] = "last"
    """Which weights the last report scores whole, probes and keeps: those of the last step, or those of the report
    with the best validation subset, by the task's primary metric. Choose by `best`, and judge on the test split."""

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result; the last step is not said, as before there was a choice."""
        fields = self.model_dump(mode="json")
        if self.score_at == "last":
            del fields["score_at"]
        return fields


BY_MEMORY: Literal["by_memory"] = "by_memory"


class ResourceConfig(Schema):
    """What one trial asks of the machine. Changes how fast it runs, never what it computes in law."""

    workers: int = Field(1, ge=1)
    """Processes that train one replicate together, each on an equal part of every batch; must divide
    `batch_size`. More than one costs about 20 seconds a trial before its first step, and is for models that one
    process cannot hold, or takes too long for."""
    sharding: Sharding = "replicated"
    """How several workers hold the model: each the whole of it (DDP), or each a share (`fsdp`, FSDP2)."""
    cpus_per_trial: int = Field(1, ge=1)
    """CPU cores, and so the threads, of one trial; of each worker, where there are several."""
    gpus_per_trial: float | Literal["by_memory"] = 0.0
    """Share of one GPU (at most 1), or 0 to run on the CPU. `by_memory`: the part of the card's memory that the
    trial needs, so that as many run at once as fit. Of each worker, where there are several; they need whole
    GPUs."""
    max_trials_per_gpu: int | None = Field(None, ge=1)
    """Most trials on one card with `by_memory`, however small they are: each slows the others. None: no limit."""
    micro_batch_size: int | None = Field(None, ge=1)
    """Sequences in one forward pass; gradients are accumulated up to `batch_size`, or a worker's part of it.
    None: all of them."""
    keep_weights: bool = False
    """Keep what each replicate has learnt, as weights.pt in its folder; what others start with is always kept."""
    deterministic: bool = True
    """Refuse operations that give different bits from run to run."""
    report_timeout_seconds: float = Field(1800.0, gt=0, le=1e9)
    """Longest time without a report; the first one includes building the model and loading the data. A
    replicate that takes longer hangs: it ends as timed out, with the stacks of its process in log.txt."""

    @field_validator("gpus_per_trial", mode="before")
    @classmethod
    def _share_or_by_memory(cls, value: object) -> object:
        is_share = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        if not is_share and value != BY_MEMORY:
            raise ValueError(f"must be a share from 0 to 1, or {BY_MEMORY}")
        return value

    @model_validator(mode="after")
    def _workers_can_work_together(self) -> ResourceConfig:
        if self.workers > 1 and self.gpus_per_trial not in {0.0, 1.0}:
            raise ValueError(
                f"gpus_per_trial={self.gpus_per_trial} must be 1 or 0 with workers={self.workers}: the "
                "workers of a trial cannot share a card"
            )
        if self.workers == 1 and self.sharding == "fsdp":
            raise ValueError("sharding=fsdp divides the model among workers: set workers to at least 2")
        if self.max_trials_per_gpu is not None and self.gpus_per_trial != BY_MEMORY:
            raise ValueError(
                f"max_trials_per_gpu={self.max_trials_per_gpu} needs gpus_per_trial={BY_MEMORY}: a share already "
                "says how many trials a card takes"
            )
        return self


def _check_warm_up(optimizer: OptimizerConfig, budget: BudgetConfig) -> None:
    if optimizer.warmup_steps >= budget.steps > 0:
        raise ValueError(
            f"optimizer.warmup_steps={optimizer.warmup_steps} must be below budget.steps={budget.steps}, or the "
            "learning rate never reaches its peak"
        )


class PretrainingConfig(Schema):
    """How the backbone is trained that an architecture wants trained before it is used.

    It is trained once, with one seed, and shared by all arms and seeds that ask for the same one: a fixed factor of
    the study, of which the replicates are no sample.
    """

    task: Annotated[SerializeAsAny[TaskConfig], BeforeValidator(TASKS.parse)]
    optimizer: OptimizerConfig = OptimizerConfig()
    budget: BudgetConfig
    seed: int = Field(0, ge=0)
    """Seed of the one replicate that trains it."""

    @model_validator(mode="after")
    def _warm_up_ends(self) -> PretrainingConfig:
        _check_warm_up(self.optimizer, self.budget)
        return self


class ResumeConfig(Schema):
    """Whose weights a replicate starts with: fine-tuning. The optimiser starts fresh, at step 0."""

    source: str = Field(min_length=1)
    """`arm:NAME` for an arm of the same study and `id:CONFIG_ID` for a configuration in the same results folder,
    each with the same seed; or the path of a `weights.pt`, the same for all seeds."""
    states: list[str] = []
    """Which groups of the model's state are taken over; what groups there are, the architecture says. Unless given:
    all of them."""

    @property
    def arm(self) -> str | None:
        """The arm that `source` names, if it names one."""
        return self.source.removeprefix("arm:") if self.source.startswith("arm:") else None

    @property
    def config_id(self) -> str | None:
        """The configuration that `source` names, if it names one."""
        return self.source.removeprefix("id:") if self.source.startswith("id:") else None


class TrialConfig(Schema):
    """One point of the space: architecture, task, optimiser and budget; the seed is not part of it."""

    architecture: Annotated[SerializeAsAny[ArchitectureConfig], BeforeValidator(ARCHITECTURES.parse)]
    task: Annotated[SerializeAsAny[TaskConfig], BeforeValidator(TASKS.parse)]
    optimizer: OptimizerConfig = OptimizerConfig()
    budget: BudgetConfig
    pretraining: PretrainingConfig | None = None
    """How the backbone is trained; for architectures that want one trained, and not counted for others."""
    resume_from: ResumeConfig | None = None
    """Whose weights to start with; by default the seed's own."""

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
        """What trains the backbone; None where there is none to train."""
        given = self.pretraining
        architecture = None if given is None else self.architecture.to_pretrain()
        if given is None or architecture is None:
            return None
        return TrialConfig(
            architecture=architecture, task=given.task, optimizer=given.optimizer, budget=given.budget
        )

    @model_validator(mode="after")
    def _warm_up_ends(self) -> TrialConfig:
        _check_warm_up(self.optimizer, self.budget)
        return self

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
        """The plugins that define the architecture and the task, by part; empty where both are the library's."""
        origins = {"architecture": origin_of(type(self.architecture)), "task": origin_of(type(self.task))}
        return {part: plugin for part, plugin in origins.items() if plugin is not None}

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result, with the versions of the code that reads them.

        Code from outside also counts with its hash: who edits a plugin need not think of its version.
        """
        return {
            **self._start(),
            **{f"{part}_plugin": plugin.sha256 for part, plugin in self.plugins.items()},
            "architecture": self.architecture.canonical(),
            "architecture_version": ARCHITECTURES.version(self.architecture.name),
            "task": self.task.canonical(),
            "task_version": TASKS.version(self.task.name),
            "optimizer": self.optimizer.model_dump(mode="json"),
            "budget": self.budget.canonical(),
        }

    def _start(self) -> dict[str, Any]:
        """Return what is taken over; whose weights they are, `config_id` is told."""
        return {} if self.resume_from is None else {"states": sorted(self.resume_from.states)}


def config_id(config: TrialConfig, data_hash: str, origins: Mapping[str, str] | None = None) -> str:
    """Return the name of a configuration: equal for equal results, 12 hexadecimal digits.

    Args:
        config: The configuration; fields without effect (a sign at zero coupling) do not count.
        data_hash: Hash of the data the task trains on, so that other data is another configuration.
        origins: Whose weights it starts with, by role, as `Need.identity` names them.
    """
    named = {**config.canonical(), "data_hash": data_hash, **({"origins": dict(origins)} if origins else {})}
    text = json.dumps(named, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
