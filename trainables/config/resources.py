"""What a trial may use; none of it is part of a configuration's id."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from trainables.schema import Schema

BY_MEMORY: Literal["by_memory"] = "by_memory"


class ResourceConfig(Schema):
    """Resources of one trial. They change how fast it runs, never the distribution of its results."""

    workers: int = Field(1, ge=1)
    """Processes that train one replicate together, each on an equal shard of every batch; must divide `batch_size`.
    More than one costs about 20 seconds a trial before its first step, and is meant for models that one process
    cannot hold, or trains too slowly."""
    sharding: Sharding = "replicated"
    """How several workers hold the model: each a full replica (DDP), or each a shard (`fsdp`, FSDP2)."""
    cpus_per_trial: int = Field(1, ge=1)
    """CPU cores, and so threads, of one trial; if it has several workers, of each."""
    gpus_per_trial: float | Literal["by_memory"] = 0.0
    """Fraction of one GPU (at most 1), or 0 to run on the CPU. `by_memory`: the fraction of the GPU's memory that
    the trial needs, so that as many run at once as fit. If a trial has several workers, of each; they need whole
    GPUs."""
    max_trials_per_gpu: int | None = Field(None, ge=1)
    """Most trials on one GPU with `by_memory`, however small they are: each slows the others. None: no limit."""
    micro_batch_size: int | None = Field(None, ge=1)
    """Sequences in one forward pass; gradients are accumulated up to `batch_size`, or a worker's shard of it.
    None: all of them."""
    keep_weights: bool = False
    """Keep each replicate's trained weights, as weights.pt in its folder; weights that others start from are always
    kept."""
    deterministic: bool = True
    """Refuse operations that give different bits from run to run."""
    report_timeout_seconds: float = Field(1800.0, gt=0, le=1e9)
    """Longest time without a report; the first report includes building the model and loading the data. A
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
                "workers of a trial cannot share a GPU"
            )
        if self.workers == 1 and self.sharding == "fsdp":
            raise ValueError("sharding=fsdp divides the model among workers: set workers to at least 2")
        if self.max_trials_per_gpu is not None and self.gpus_per_trial != BY_MEMORY:
            raise ValueError(
                f"max_trials_per_gpu={self.max_trials_per_gpu} needs gpus_per_trial={BY_MEMORY}: a share already "
                "says how many trials a GPU takes"
            )
        return self

    def micro_batch_of(self, batch_size: int) -> int:
        """Return the sequences in one forward pass of a worker, of a batch of `batch_size`."""
        share = batch_size // self.workers
        return min(self.micro_batch_size or share, share)


Sharding = Literal["replicated", "fsdp"]
