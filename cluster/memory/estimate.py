"""How much memory a trial will need, estimated before it runs by a dry run on fake tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from cluster.memory.allocators import Device
from cluster.memory.dry_run import dry_run
from trainables.config.trial import TrialConfig
from trainables.training.loop import PROBE_SEQUENCES
from trainables.units import MIB

PROCESS_MIB = 512.0
"""Resident set of a Ray worker on a CPU after a trial with a model of a few KiB, as measured with Ray 2.60 and
torch 2.13: 396 after the trainable is imported, 100 more for what the first optimiser step imports."""


class EstimateError(ValueError):
    """A model whose memory cannot be estimated without running it."""


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """How the peak memory of one trial is made up, in MiB."""

    parameters_mib: float
    """Parameters and buffers."""
    gradients_mib: float
    """0 if the peak is not in training."""
    optimizer_mib: float
    """State of the optimiser."""
    activations_mib: float
    """What the forward pass of one micro-batch keeps for the backward pass; 0 if the peak is not in training."""
    workspace_mib: float
    """What the peak needs beyond the rest: temporary tensors, batches, the task's data; in evaluation and probes
    also logits and layers' outputs; on a GPU what its allocator holds and does not use."""
    context_mib: float
    """The process itself (on a GPU its CUDA context), before any model."""
    peak_stage: str = "training"
    """When the peak is: `building`, `training`, `optimizer` (its step), `evaluation` or `probes`."""

    @property
    def total_mib(self) -> float:
        """Sum of the parts."""
        return sum(self._parts().values())

    def as_dict(self) -> dict[str, float]:
        """Return parts and total by name, in MiB, rounded to a tenth."""
        parts = {name: round(value, 1) for name, value in self._parts().items()}
        return {**parts, "total_mib": round(self.total_mib, 1)}

    def _parts(self) -> dict[str, float]:
        return {item.name: float(getattr(self, item.name)) for item in fields(self) if item.name.endswith("_mib")}


def estimate(
    config: TrialConfig,
    *,
    vocab_size: int,
    context_length: int,
    max_length: int | None = None,
    answer_length: int | None = None,
    reads_ahead: bool = False,
    micro_batch_size: int | None = None,
    process_mib: float = PROCESS_MIB,
    held_out_sequences: int = PROBE_SEQUENCES,
    task_mib: float = 0.0,
    device: Device = "cpu",
) -> MemoryEstimate:
    """Return the memory that one trial needs at its peak; allocates none of it.

    The training loop runs on fake tensors, from building the model to the last probe, and a ledger counts
    what its tensors take from the device's allocator. Memory that kernels take internally is not included.

    Args:
        config: The configuration.
        vocab_size: Vocabulary size of the task.
        context_length: Tokens of a sequence.
        max_length: Tokens of the longest sequence that is scored; None: `context_length`.
        answer_length: `Task.answer_length`: probes of where an answer stands take memory of their own.
        reads_ahead: `Task.reads_ahead`: longer sequences have no logits but those of answers.
        micro_batch_size: Sequences of one forward pass; None: the whole batch.
        process_mib: What the worker process needs before it has a model; on a GPU, its context.
        held_out_sequences: Validation windows of full length, which bound the batches of evaluation and probes;
            more than the probes use makes no difference.
        task_mib: Memory of the task's data in the worker, such as its text and tokens; see `task_data`.
        device: Where the trial runs.

    Raises:
        EstimateError: If the model's forward pass reads the values of tensors.
    """
    batch_size = config.budget.batch_size
    try:
        found = dry_run(
            config,
            vocab_size=vocab_size,
            context_length=context_length,
            max_length=max_length,
            answer_length=answer_length,
            reads_ahead=reads_ahead,
            micro_batch_size=min(micro_batch_size or batch_size, batch_size),
            held_out_sequences=min(held_out_sequences, PROBE_SEQUENCES),
            device=device,
        )
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise EstimateError(
            f"architecture '{config.architecture.name}' reads the values of tensors in its forward pass "
            f"({error}), so its memory cannot be estimated; keep the decision in tensors (torch.where)"
        ) from error
    stage = max(found.live, key=found.live.__getitem__)
    optimizer = found.optimizer if stage != "building" else 0
    rest = max(found.held.values()) - found.parameters - optimizer
    gradients = min(found.gradients, rest) if stage in {"training", "optimizer"} else 0
    activations = min(found.activations, rest - gradients) if stage == "training" else 0
    return MemoryEstimate(
        parameters_mib=found.parameters / MIB,
        gradients_mib=gradients / MIB,
        optimizer_mib=optimizer / MIB,
        activations_mib=activations / MIB,
        workspace_mib=(rest - gradients - activations) / MIB + (task_mib if device == "cpu" else 0.0),
        context_mib=process_mib,
        peak_stage=stage,
    )


def size_key(
    config: TrialConfig,
    *,
    vocab_size: int,
    context_length: int,
    max_length: int | None = None,
    answer_length: int | None = None,
    reads_ahead: bool = False,
    micro_batch_size: int | None = None,
    held_out_sequences: int = PROBE_SEQUENCES,
    device: Device = "cpu",
) -> str:
    """Return a key that is equal for configurations with equal estimates: everything that decides tensor shapes.

    Args:
        config: The configuration.
        vocab_size: As for `estimate`.
        context_length: As for `estimate`.
        max_length: As for `estimate`.
        answer_length: As for `estimate`.
        reads_ahead: As for `estimate`.
        micro_batch_size: As for `estimate`.
        held_out_sequences: As for `estimate`.
        device: As for `estimate`.
    """
    architecture = config.architecture.model_dump(mode="json")
    for name in config.architecture.memory_neutral:
        del architecture[name]
    batch_size = config.budget.batch_size
    shaping = {
        **{f"{part}_plugin": plugin.sha256 for part, plugin in config.plugins.items()},
        "architecture": architecture,
        "optimizer": config.optimizer.name,
        "precision": config.budget.precision,
        "steps": min(config.budget.steps, 2),
        "score_at": config.budget.score_at,
        "batch_size": batch_size,
        "micro_batch_size": min(micro_batch_size or batch_size, batch_size),
        "eval_sequences": config.budget.eval_sequences,
        "vocab_size": vocab_size,
        "context_length": context_length,
        "max_length": max_length or context_length,
        "answer_length": answer_length,
        "reads_ahead": reads_ahead,
        "held_out_sequences": min(held_out_sequences, PROBE_SEQUENCES),
        "device": device,
    }
    return json.dumps(shaping, sort_keys=True)
