"""How much memory a trial will need, before it runs: the training step under fake tensors."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from trainables.architectures.base import LanguageModel
from trainables.config import OptimizerConfig, TrialConfig
from trainables.tasks.base import Task

MIB = 2**20

PROCESS_MIB = 512.0
"""Resident set of a Ray worker on a CPU after a trial with a model of a few KiB, as measured with Ray 2.60 and
torch 2.13: 396 once the trainable is imported, 100 more for what the first optimiser step imports."""

_EVALUATION_BATCH: int = inspect.signature(Task.evaluate).parameters["batch_size"].default
"""Sequences that the training loop scores in one forward pass: it leaves the choice to the task."""

# bitsandbytes: tensors below 4096 elements stay in 32 bits; others keep two states of one byte an
# element, each with one float32 scale for every block of 256
_MIN_8BIT_ELEMENTS = 4096
_8BIT_BLOCK = 256


class EstimateError(ValueError):
    """A model whose memory cannot be known without running it."""


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Where the memory of one trial goes at its peak, in MiB."""

    parameters_mib: float
    """Parameters and buffers."""
    gradients_mib: float
    optimizer_mib: float
    """State of the optimiser."""
    activations_mib: float
    """What the forward pass of one micro-batch keeps for the backward pass."""
    workspace_mib: float
    """What the peak needs beyond the rest: temporary tensors, logits, evaluation."""
    context_mib: float
    """The process itself, before any model."""

    @property
    def total_mib(self) -> float:
        """Sum of the parts."""
        return sum(float(getattr(self, item.name)) for item in fields(self))

    def as_dict(self) -> dict[str, float]:
        """Return parts and total by name, in MiB, rounded to a tenth."""
        parts = {item.name: round(float(getattr(self, item.name)), 1) for item in fields(self)}
        return {**parts, "total_mib": round(self.total_mib, 1)}


def estimate(
    config: TrialConfig,
    *,
    vocab_size: int,
    context_length: int,
    micro_batch_size: int | None = None,
    process_mib: float = PROCESS_MIB,
) -> MemoryEstimate:
    """Return the memory that one trial needs at its peak; allocates nothing of it.

    Two micro-batches and an evaluation batch run on fake tensors, which have a shape and no data, and
    a ledger counts the bytes that live at once. Parameters and gradients are exact; the optimiser's
    state follows from its kind. What the allocator wastes and library workspaces are not in it.

    Args:
        config: The configuration.
        vocab_size: Symbols of the task.
        context_length: Tokens of a sequence.
        micro_batch_size: Sequences of one forward pass; None: the whole batch.
        process_mib: What the worker process needs before it has a model.

    Raises:
        EstimateError: If the model's forward pass reads the values of tensors.
    """
    batch_size = config.budget.batch_size
    micro = min(micro_batch_size or batch_size, batch_size)
    try:
        with FakeTensorMode():
            model = config.architecture.build(vocab_size=vocab_size, max_seq_len=context_length)
            bench = _Bench(model, vocab_size, context_length, config.budget.precision)
            kept, train_peak = bench.train(micro, num_micro_batches=2 if micro < batch_size else 1)
            evaluation_peak = bench.evaluate(_EVALUATION_BATCH)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise EstimateError(
            f"architecture '{config.architecture.name}' reads the values of tensors in its forward pass "
            f"({error}), so its memory cannot be estimated; keep the decision in tensors (torch.where)"
        ) from error
    trained = list(model.parameters())
    parameters = _nbytes([*trained, *model.buffers()])
    gradients = _nbytes(p for p in trained if p.requires_grad)
    optimizer = optimizer_bytes(config.optimizer, (p.numel() for p in trained if p.requires_grad))
    return MemoryEstimate(
        parameters_mib=parameters / MIB,
        gradients_mib=gradients / MIB,
        optimizer_mib=optimizer / MIB,
        activations_mib=kept / MIB,
        workspace_mib=max(0, max(train_peak, evaluation_peak) - gradients - kept) / MIB,
        context_mib=process_mib,
    )


def optimizer_bytes(config: OptimizerConfig, sizes: Iterable[int]) -> int:
    """Return the bytes of the optimiser's state.

    Args:
        config: The optimiser.
        sizes: Elements of each trained tensor.
    """
    if config.name == "adamw":
        return sum(2 * 4 * size for size in sizes)
    return sum(_state_8bit(size) for size in sizes)


def _state_8bit(size: int) -> int:
    if size < _MIN_8BIT_ELEMENTS:
        return 2 * 4 * size
    blocks = -(-size // _8BIT_BLOCK)
    return 2 * (size + 4 * blocks)


def _nbytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the distinct storages behind `tensors`."""
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())


class _Ledger(TorchDispatchMode):
    """Counts the bytes of storages made while it is on: how many live now, how many lived at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = 0
        self.peak_bytes = 0
        self._storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """Leave storages out that others account for."""
        for tensor in tensors:
            self._watch(tensor.untyped_storage(), 0)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._add, result)
        return result

    def _add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._storages:
            self._watch(storage, storage.nbytes())
        return tensor

    def _watch(self, storage: torch.UntypedStorage, size: int) -> None:
        key = storage._cdata

        def release(_: weakref.ref[torch.UntypedStorage]) -> None:
            del self._storages[key]
            self.live_bytes -= size

        self._storages[key] = weakref.ref(storage, release)
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)


@dataclass
class _Bench:
    """Runs the model on fake tensors; makes sense under FakeTensorMode only."""

    model: LanguageModel
    vocab_size: int
    context_length: int
    precision: str

    def train(self, size: int, *, num_micro_batches: int) -> tuple[int, int]:
        """Return bytes kept for the backward pass, and the peak with the gradients in it."""
        self.model.train()
        kept = 0
        with self._ledger() as ledger:
            for _ in range(num_micro_batches):
                before = ledger.live_bytes
                loss, logits_BTV = self._loss(size)
                kept = max(kept, ledger.live_bytes - before)
                loss.backward()
                del loss, logits_BTV  # alive until here, as in the training loop
        self.model.zero_grad(set_to_none=True)
        return kept, ledger.peak_bytes

    def evaluate(self, size: int) -> int:
        """Return the peak of scoring `size` sequences."""
        self.model.eval()
        with torch.no_grad(), self._ledger() as ledger:
            self._loss(size)
        return ledger.peak_bytes

    @contextmanager
    def _ledger(self) -> Iterator[_Ledger]:
        ledger = _Ledger()
        ledger.ignore([*self.model.parameters(), *self.model.buffers()])
        with ledger:
            yield ledger

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "bfloat16":
            return torch.autocast("cpu", dtype=torch.bfloat16)
        return nullcontext()

    def _loss(self, size: int) -> tuple[Tensor, Tensor]:
        tokens_BT = torch.zeros(size, self.context_length, dtype=torch.long)
        with self._autocast():
            output = self.model(tokens_BT)
            loss = nn.functional.cross_entropy(output.logits_BTV.flatten(0, 1), tokens_BT.flatten())
        return loss + output.penalty, output.logits_BTV
