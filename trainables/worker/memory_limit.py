"""Limits the memory of this process for one trial, recognises out-of-memory errors, and measures leaked memory.

On a CPU the limit is the kernel's (RLIMIT_DATA): an allocation beyond it fails in the process that requests it, as
an exception, and in no other process. On a GPU it is the limit of PyTorch's allocator. Both are lifted when the
trial ends, so that the code that handles its end has memory.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import gc
import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import psutil
import torch
from torch import nn

from trainables.units import MIB

ALLOCATOR_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(MIB), "MALLOC_TRIM_THRESHOLD_": str(128 * MIB)}
"""What a worker's environment must contain when the process starts: the C library then maps every tensor of 1 MiB
or more separately and unmaps it when it is freed, so that the limit counts the memory in use."""

SLACK_MIB = 128
"""Allowance on a CPU beyond the reservation: freed memory that the C library keeps (MALLOC_TRIM_THRESHOLD_)."""

TOLERANCE_MIB = 128
"""What a trial may leak in its process, for the same reason."""

NEAR_LIMIT = 0.95
"""Fraction of the reservation from which on any failure may be an out-of-memory."""

_WARM_UP_ELEMENTS = 2**16  # per thread: twice PyTorch's smallest share of a thread

_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc", "_status_alloc_failed")
"""Parts of messages of PyTorch's RuntimeErrors, in lower case: from its own allocators, the C++ library, and
cuBLAS, cuDNN and the like."""


class ReservationError(MemoryError):
    """A reservation smaller than the process itself, before any model; the message has both numbers."""


class WorkerRecycledError(RuntimeError):
    """Raised on purpose after the last result of a trial, so that Ray ends this process and starts a fresh one."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error`, or a cause of it, says that memory ran out, on the GPU or the host."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(cause, OSError) and cause.errno == errno.ENOMEM:
            return True
        if isinstance(cause, RuntimeError) and any(sign in str(cause).lower() for sign in _SIGNS):
            return True
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return False


def return_free_memory() -> None:
    """Return freed memory to the kernel; the C library would keep what lies between live blocks."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others keep less
    if trim is not None:
        trim(0)


@functools.cache
def warm_up(device: str, threads: int) -> None:
    """Import and start in this process what the first training step would: modules, threads, CUDA's libraries.

    A thread that finds no memory ends the process instead of the trial, and modules belong to the process, not to
    the trial. To be called after the numerics are set: cuBLAS reads them when it starts.

    Args:
        device: `cpu` or `cuda`.
        threads: Those that the numerics have set.
    """
    torch.zeros(threads * _WARM_UP_ELEMENTS).add_(1.0)
    weight = nn.Parameter(torch.zeros(8, 8, device=device))
    optimizer = torch.optim.AdamW([weight])
    (weight @ weight).sum().backward()
    nn.utils.clip_grad_norm_([weight], 1.0)
    optimizer.step()
    gc.collect()
    gc.freeze()  # the collections between trials need not scan what this has imported


def is_enforced(device: str) -> bool:
    """Return whether this system can enforce a trial's reservation; among kernels, only Linux can."""
    return device == "cuda" or platform.system() == "Linux"


@dataclass
class WorkerMemory:
    """Memory that this process holds between trials."""

    device: str
    base_mib: float
    """On a GPU, what the allocator has reserved; on the host, the resident set."""
    untouched_mib: float
    """On the host, by how much RLIMIT_DATA's count exceeds the resident set; mostly the stacks of threads."""

    @classmethod
    def measured(cls, device: str) -> WorkerMemory:
        """Measure this process now."""
        untouched = _data_mib() - _held_mib("cpu") if is_enforced(device) else 0.0
        return cls(device, _held_mib(device), untouched)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Add what the block allocates to the process's base: data that the next trial will reuse."""
        before_mib = _held_mib(self.device)
        yield
        self.base_mib += max(0.0, _held_mib(self.device) - before_mib)

    def leaked_mib(self) -> float:
        """Return what the process holds beyond its base; to be called between trials.

        On the host the limit also counts freed memory between live blocks of the heap, though the kernel has it
        back: a trial with many tensors below 1 MiB can leave the next one no room for larger ones.
        """
        held_mib = _held_mib(self.device) - self.base_mib
        if self.device == "cuda" or not is_enforced(self.device):
            return max(0.0, held_mib)
        counted_mib = _data_mib() - self.untouched_mib - self.base_mib
        return max(0.0, held_mib, counted_mib - SLACK_MIB)


@functools.cache
def worker_memory(device: str, threads: int) -> WorkerMemory:
    """Return the record of this process, which the first call warms up and measures."""
    warm_up(device, threads)
    return WorkerMemory.measured(device)


def _held_mib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.memory_reserved() / MIB
    return float(psutil.Process().memory_info().rss) / MIB


def _data_mib() -> float:
    """Return the memory that RLIMIT_DATA counts."""
    return float(psutil.Process().memory_info().data) / MIB


class MemoryCap:
    """A context in which this process may use no more memory than its reservation.

    Args:
        reservation_mib: What the process may use, itself included: of the GPU if `worker` measures the GPU.
        worker: This process between trials.
        context_mib: Part of the reservation that the CUDA context takes, and the allocator cannot use.

    Raises:
        ReservationError: On entry, if the reservation leaves nothing for a model.
    """

    def __init__(self, reservation_mib: int, worker: WorkerMemory, *, context_mib: float = 0.0) -> None:
        self.reservation_mib, self.worker, self.context_mib = reservation_mib, worker, context_mib
        self.used_mib = 0.0
        """On the host, the memory in use when the block ended with an exception, whether touched or not."""
        self._before = self._during = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def __enter__(self) -> MemoryCap:
        held_mib = self.worker.base_mib + self.context_mib
        if held_mib >= self.reservation_mib:
            raise ReservationError(
                f"this process alone holds {held_mib:.0f} MiB, before any model, and may use "
                f"{self.reservation_mib} MiB"
            )
        if self.worker.device == "cuda":
            total_mib = torch.cuda.mem_get_info()[1] / MIB
            share = (self.reservation_mib - self.context_mib) / total_mib
            torch.cuda.set_per_process_memory_fraction(min(1.0, share))
        else:
            self._before = _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            self._during = (self._data_limit(hard), hard)
            resource.setrlimit(resource.RLIMIT_DATA, self._during)
        return self

    def _data_limit(self, hard: int) -> int:
        limit = int((self.reservation_mib + SLACK_MIB + self.worker.untouched_mib) * MIB)
        return limit if hard == resource.RLIM_INFINITY else min(limit, hard)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.worker.device == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
            return
        if resource.getrlimit(resource.RLIMIT_DATA) == self._during:  # otherwise it was changed meanwhile
            resource.setrlimit(resource.RLIMIT_DATA, self._before)
        if error is not None:
            self.used_mib = _data_mib() - self.worker.untouched_mib

    def is_close(self, peak_mib: float | None) -> bool:
        """Return whether memory was so scarce that any failure may come from that.

        Args:
            peak_mib: Measured peak of the trial, process or context included; None if it is not known.
        """
        return max(self.used_mib, peak_mib or 0.0) >= NEAR_LIMIT * self.reservation_mib

    def remarks(self) -> list[str]:
        """Return why this limit is less exact than it should be."""
        if self.worker.device == "cuda":
            return []
        missing = [f"{k}={v}" for k, v in ALLOCATOR_ENVIRONMENT.items() if os.environ.get(k) != v]
        if not missing:
            return []
        return [
            f"this worker was started without {' '.join(missing)} in its environment: memory that is freed may "
            "still count, and the trial may run out of memory early"
        ]
