"""Optimiser and budget of a trial."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from trainables.schema import Schema


class OptimizerChange(Schema):
    """Other settings of the optimiser from a step on; what is not given stays as it was."""

    from_step: int = Field(ge=1)
    """The first optimiser step with them, counted from 0."""
    learning_rate: float | None = Field(None, gt=0)
    """Peak learning rate; the schedule goes on."""
    weight_decay: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _changes_something(self) -> OptimizerChange:
        if self.learning_rate is None and self.weight_decay is None:
            raise ValueError(f"nothing changes from step {self.from_step} on: give learning_rate or weight_decay")
        return self


class OptimizerConfig(Schema):
    """The optimiser and its learning-rate schedule."""

    added = {"warmup_from": "above_zero", "micro_batches_summed": 1, "changes": []}

    name: Literal["adamw", "adamw_8bit"] = "adamw"
    """`adamw_8bit` keeps its state in 8 bits (bitsandbytes)."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate, reached after the warm-up."""
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled weight decay, multiplied by the learning rate."""
    weight_decay_on: Literal["matrices", "all_but_bias", "all_but_bias_and_embeddings"] = "matrices"
    """`all_but_bias` also decays norms, couplings and frequencies; `all_but_bias_and_embeddings` does so too, but
    spares token and position embeddings, and with them a tied head, as PhaseGPT's code does."""
    schedule: Literal["constant", "cosine", "cosine_cut", "linear"] = "cosine"
    """`cosine` and `linear` reach `final_fraction` at the last step. `cosine_cut` falls toward 0 and is cut off at
    that fraction, where it then stays, as PhaseGPT's code does."""
    warmup_steps: int = Field(0, ge=0)
    """Optimiser steps of linear warm-up."""
    warmup_from: Literal["above_zero", "zero"] = "above_zero"
    """The first step's learning rate: `above_zero`, 1 / (`warmup_steps` + 1) of the peak; `zero`, none, as in the
    code of PhaseGPT and of the resonant models."""
    final_fraction: float = Field(0.1, ge=0, le=1)
    """Learning rate at the last step as a fraction of the peak; unused by `constant`."""
    clip_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to at most this global L2 norm."""
    micro_batches_summed: int = Field(1, ge=1)
    """Factor of the gradient before it is clipped: code that *adds* the losses of this many micro-batches, as that
    of the resonant models does, clips a gradient so many times as large. Adam hardly notices it otherwise."""
    changes: Annotated[tuple[OptimizerChange, ...], Field(strict=False)] = ()
    """Other settings from given steps on: what a search by `pbt` finds is such a list."""

    @model_validator(mode="after")
    def _changes_in_order(self) -> OptimizerConfig:
        steps = [change.from_step for change in self.changes]
        if steps != sorted(set(steps)):
            raise ValueError(f"changes begin at the steps {steps}: let each begin after the one before")
        if self.weight_decay == 0 and any(change.weight_decay is not None for change in self.changes):
            raise ValueError("changes sets weight_decay, and nothing decays before: give a weight_decay above 0")
        return self

    def at(self, step: int) -> OptimizerConfig:
        """Return the settings of a step, without changes."""
        now: dict[str, Any] = {"changes": ()}
        for change in self.changes:
            if change.from_step <= step:
                now |= change.model_dump(exclude={"from_step"}, exclude_none=True)
        return self.model_copy(update=now) if self.changes else self


class BudgetConfig(Schema):
    """How long a replicate trains and how often it reports."""

    added = {"score_at": "last", "probe_at": "last", "patience": None, "min_delta": 0.0}

    steps: int = Field(ge=0)
    """Optimiser steps; 0 scores the untrained model, as a control, or with `resume_from` a trained one, again."""
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
    """Which weights the last report scores on whole splits, probes and keeps: those of the last step, or those of
    the report with the best score on the validation subset, by the primary metric. With `best`, judge on the test
    split."""
    probe_at: Literal["last", "reports"] = "last"
    """When the probes are taken: at the last report, or at every one and once more before the first step. They do
    not affect training, but cost several forward passes over 256 sequences each time."""
    patience: int | None = Field(None, ge=1)
    """Early stopping: a replicate has finished after this many reports in a row without an improvement of the
    primary metric on the validation subset. None: it trains all steps."""
    min_delta: float = Field(0.0, ge=0)
    """With `patience`, an improvement is more than this, in units of the metric."""

    @model_validator(mode="after")
    def _min_delta_has_a_use(self) -> BudgetConfig:
        if self.min_delta and self.patience is None:
            raise ValueError(f"min_delta={self.min_delta:g} is for early stopping: set patience, or drop it")
        return self


def check_steps(optimizer: OptimizerConfig, budget: BudgetConfig) -> None:
    """Refuse a warm-up that the budget never completes, and changes that it never comes to.

    Raises:
        ValueError: If one is.
    """
    if optimizer.warmup_steps >= budget.steps > 0:
        raise ValueError(
            f"optimizer.warmup_steps={optimizer.warmup_steps} must be below budget.steps={budget.steps}, or the "
            "learning rate never reaches its peak"
        )
    if optimizer.changes and optimizer.changes[-1].from_step >= budget.steps:
        raise ValueError(
            f"optimizer.changes has one from step {optimizer.changes[-1].from_step} on, and budget.steps="
            f"{budget.steps} ends before it"
        )
