"""Dry run of a trial on fake tensors: the real training loop, from building the model to the last probe.

Fake tensors have a shape and no data, so a dry run takes almost no memory and does no arithmetic. Whatever the
loop does (clipping, the optimiser, evaluation, probes) is included, because the loop itself runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

from cluster.memory.allocators import Device, allocator_of
from cluster.memory.kernels import CpuKernels
from cluster.memory.tensor_ledger import Ledger, nbytes
from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.batch import Batch
from trainables.config.trial import TrialConfig
from trainables.metric import Metric, Split
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics
from trainables.training.probes import PROBE_BATCH

_DECIDING = 7 / 8
"""Windows below this fraction of the full length are skipped in evaluation, unless each length leaves code that is
compiled for it: memory rises with the length, and the probes also cut windows near the end."""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """Memory that a trial would take, in bytes."""

    parameters: int
    """Parameters and buffers."""
    gradients: int
    optimizer: int
    activations: int
    """What the forward pass of one micro-batch keeps for the backward pass, the loss included."""
    held: dict[str, int]
    """Largest size held by the allocator in each stage: building, training, optimizer, evaluation, probes."""
    live: dict[str, int]
    """Largest size of live tensors in each stage."""


def dry_run(
    config: TrialConfig,
    *,
    vocab_size: int,
    context_length: int,
    max_length: int | None = None,
    micro_batch_size: int,
    held_out_sequences: int,
    device: Device,
    answer_length: int | None = None,
    reads_ahead: bool = False,
) -> DryRun:
    """Run a trial on fake tensors; changes nothing in the process.

    On a `cuda` device only what happens after the model has moved there counts, with a model of PyTorch's caching
    allocator; the operations are those of a CPU, whose kernels keep nearly the same tensors.

    Raises:
        DataDependentOutputException, DynamicOutputShapeException: If the model's forward pass in training reads
            the values of tensors.
    """
    batch_size = min(config.budget.batch_size, 2 * micro_batch_size)  # a third micro-batch needs no more
    # The optimiser creates its state in the first step. If freed memory goes back, the second step needs the same
    # plus that state; an allocator that keeps segments has to go through both.
    steps = min(2 if device == "cuda" else 1, config.budget.steps)
    ledger = Ledger(allocator_of(device), CpuKernels() if device == "cpu" else None)
    stub = _StubTask(
        vocab_size=vocab_size,
        context_length=context_length,
        max_length=max_length or context_length,
        answer_length=answer_length,
        reads_ahead=reads_ahead,
        held_out_sequences=held_out_sequences,
        num_others=config.budget.batch_size - batch_size if device == "cpu" else 0,
        ledger=ledger,
    )
    shortened = _shortened(config, steps, batch_size, context_length, ledger)
    found = _run(shortened, stub, ledger, micro_batch_size, device)
    if steps < min(2, config.budget.steps):
        for peaks in (found.held, found.live):
            peaks["training"] += found.optimizer
    return found


def _shortened(
    config: TrialConfig, steps: int, batch_size: int, context_length: int, ledger: Ledger
) -> TrialConfig:
    budget = config.budget.model_copy(update={"batch_size": batch_size, "steps": steps, "report_every": steps})
    alone = {"pretraining": None, "resume_from": None}  # loaded weights take no more memory from the first step on
    staying = _StaysOnDevice(config.architecture, context_length, ledger)
    return config.model_copy(update={**alone, "budget": budget, "architecture": staying})


def _run(config: TrialConfig, stub: _StubTask, ledger: Ledger, micro_batch_size: int, device: Device) -> DryRun:
    """Run a trial from its first step to its last report, observed by the ledger."""
    reads = _Reads()
    with _unchanged_settings(), FakeTensorMode(), reads, ExitStack() as watching:
        if device == "cpu":
            watching.enter_context(ledger)
        trainer = Trainer(config, 0, stub, _numerics(micro_batch_size))
        stub.watch(trainer.model, reads)
        trainer.optimizer.register_step_pre_hook(lambda *_: setattr(ledger, "stage", "optimizer"))
        trainer.optimizer.register_step_post_hook(lambda *_: ledger.hide_again())
        whole = [*trainer.model.parameters(), *trainer.model.buffers()]
        weights = trainer.model.on_device() if device == "cuda" else whole
        if device == "cuda":  # a model is built in host memory first
            watching.enter_context(ledger)
            ledger.add(weights)
        for _ in trainer.reports():
            pass
        states = [t for state in trainer.optimizer.state.values() for t in state.values() if isinstance(t, Tensor)]
        return DryRun(
            parameters=nbytes(weights),
            gradients=nbytes(p for p in trainer.model.parameters() if p.requires_grad),
            optimizer=nbytes(states),
            activations=stub.kept_bytes,
            held=ledger.peak_bytes,
            live=ledger.peak_live_bytes,
        )


@contextmanager
def _unchanged_settings() -> Iterator[None]:
    """Restore what the loop sets globally in its process: the random state, and cuDNN's benchmark mode."""
    benchmark = torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.backends.cudnn.benchmark = benchmark


def _numerics(micro_batch_size: int) -> Numerics:
    """Return the numerics that this process already has, so that the loop changes none of them."""
    return Numerics(
        threads=torch.get_num_threads(),
        deterministic=torch.are_deterministic_algorithms_enabled(),
        micro_batch_size=micro_batch_size,
    )


class _Reads(TorchFunctionMode):
    """Returns ones wherever the loop reads the values of fake tensors, as it does for reports."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = True
        """False during a training forward pass, which must not depend on values."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.allowed and func in _READING and isinstance(args[0], FakeTensor):
            return _READING[func](args[0])
        return func(*args, **(kwargs or {}))


def _list_of_ones(shape: tuple[int, ...]) -> Any:
    return [_list_of_ones(shape[1:])] * shape[0] if shape else 1.0


_READING: dict[Any, Callable[[Tensor], Any]] = {
    Tensor.item: lambda tensor: 1.0 if tensor.is_floating_point() else 1,
    Tensor.__float__: lambda _: 1.0,
    Tensor.__int__: lambda _: 1,
    Tensor.__bool__: lambda _: True,
    Tensor.tolist: lambda tensor: _list_of_ones(tuple(tensor.shape)),
}


class _StaysOnDevice:
    """An architecture whose models stay on the device they are built on: PyTorch cannot move fake parameters."""

    def __init__(self, architecture: ArchitectureConfig, context_length: int, ledger: Ledger) -> None:
        self._architecture, self._context_length, self._ledger = architecture, context_length, ledger
        self.mode = architecture.mode

    def build(self, *, vocab_size: int, max_seq_len: int) -> LanguageModel:
        """Build the model."""
        model = self._architecture.build(vocab_size=vocab_size, max_seq_len=max_seq_len)
        model.to = lambda *_: model  # type: ignore[method-assign]
        forward = model.forward

        def skip_short(tokens_BT: Tensor, *targets_BT: Tensor) -> ModelOutput:
            size, length = tokens_BT.shape
            if model.training or length >= _DECIDING * self._context_length or self._ledger.compiles:
                output: ModelOutput = forward(tokens_BT, *targets_BT)
                return output
            return ModelOutput(torch.zeros(size, length, vocab_size), torch.zeros(()))

        model.forward = skip_short
        return model


def _score(logits_BTV: Tensor, targets_BT: Tensor) -> None:
    """Allocate what the negative log-likelihood of each target takes."""
    wide = torch.promote_types(logits_BTV.dtype, torch.float32)
    nn.functional.cross_entropy(logits_BTV.flatten(0, 1).to(wide), targets_BT.flatten(), reduction="none")


class _StubTask(Task):
    """Stub task: sequences of zeros, scored as language is; reports the stage of the trial to the ledger.

    Args:
        vocab_size: Of the task.
        context_length: Of the task.
        max_length: Of the task.
        answer_length: Of the task.
        reads_ahead: Of the task.
        held_out_sequences: Windows of full length in the validation split.
        num_others: Sequences of a batch that are not trained on here, but kept in memory meanwhile.
        ledger: Where the stage is set.
    """

    splits: tuple[Split, ...] = ("val",)
    primary_metric = "val/loss"
    metrics: tuple[Metric, ...] = (Metric(name=primary_metric, unit="nats", direction="minimise", meaning="loss"),)
    data_hash = ""

    def __init__(
        self,
        *,
        vocab_size: int,
        context_length: int,
        max_length: int,
        answer_length: int | None,
        reads_ahead: bool,
        held_out_sequences: int,
        num_others: int,
        ledger: Ledger,
    ) -> None:
        self.vocab_size, self.context_length = vocab_size, context_length
        self._max_length, self._answer_length, self.reads_ahead = max_length, answer_length, reads_ahead
        self.kept_bytes = 0
        self._held_out_sequences, self._num_others, self._ledger = held_out_sequences, num_others, ledger
        self._before_forward = 0
        self._scored: set[int] = set()
        self._others: Batch | None = None

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence that is scored."""
        return self._max_length

    @property
    def answer_length(self) -> int | None:
        """Tokens at the end of a whole sequence that repeat a part of it."""
        return self._answer_length

    def watch(self, model: LanguageModel, reads: _Reads) -> None:
        """Measure what training forward passes keep, and forbid them to read values."""

        def before(module: nn.Module, _: Any) -> None:
            reads.allowed = not module.training
            self._before_forward = self._ledger.live_bytes

        def after(*_: Any) -> None:
            reads.allowed = True

        model.register_forward_pre_hook(before)
        model.register_forward_hook(after)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Return a batch to train on."""
        self._ledger.stage = "training"
        self._others = self._zeros(self._num_others)
        return self._zeros(size)

    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy."""
        loss = nn.functional.cross_entropy(logits_BTV.flatten(0, 1), batch.targets_BT.flatten())
        self.kept_bytes = max(self.kept_bytes, self._ledger.live_bytes - self._before_forward)
        return loss

    def held_out(self, num_sequences: int) -> Batch:
        """Return sequences to probe, in a single part: further parts would need no more memory."""
        self._ledger.stage = "probes"
        size = min(num_sequences, self._held_out_sequences)
        self._others = self._zeros(max(0, size - PROBE_BATCH))
        return self._zeros(min(size, PROBE_BATCH + self._last_part(size, PROBE_BATCH)))

    def _last_part(self, size: int, batch_size: int) -> int:
        """Return how many sequences a smaller last part has, if each shape of a part takes memory; else 0.

        Validation may have more sequences than are known here, so a multiple of the batch gets a last part of 1.
        """
        return size % batch_size or 1 if self._ledger.compiles and size > batch_size else 0

    def evaluate(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        """Score a batch; a repeated call needs no more memory and does nothing."""
        self._ledger.stage, self._others = "evaluation", None
        total = min(request.max_sequences or self._held_out_sequences, self._held_out_sequences)
        batch_size = min(request.batch_size, model.sequences_at_once)
        size = min(batch_size, total)
        found = {"val_subset/loss": 1.0}
        if total in self._scored:
            return found
        self._scored.add(total)
        for rows in (size, self._last_part(total, batch_size)):
            if rows:
                inputs_BT, targets_BT, _ = self._zeros(rows)
                _score(model(inputs_BT.to(request.device)).logits_BTV, targets_BT.to(request.device))
        if self.max_length > self.context_length:  # as many tokens, in fewer and longer windows
            num_long = max(1, size * self.context_length // self.max_length)
            long_BT = torch.zeros(num_long, self.max_length, dtype=torch.long).to(request.device)
            # Where sequences part that begin alike, the state up to there is held beside the one that is read on.
            held = [model.prefill(long_BT) for _ in range(2)] if self.reads_ahead else [None]
            if None in held:
                _score(model(long_BT).logits_BTV, long_BT)
        return found

    def references(self) -> dict[str, dict[str, float]]:
        """Return none."""
        return {}

    def _zeros(self, size: int) -> Batch:
        shape = (size, self.context_length)
        return Batch(torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long))
