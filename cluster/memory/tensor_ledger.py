"""Counts what fake tensors would take from an allocator: the peak in each stage of a trial."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cluster.memory.allocators import Allocator


class Kernels(Protocol):
    """What a device's operations take beside the tensors that they return."""

    compiled_bytes: int
    """Bytes that stay for each code that an operation is compiled to."""

    def temporary_bytes(self, operation: Any, arguments: tuple[Any, ...]) -> int:
        """Return what an operation takes and frees internally."""

    def compiled_for(self, operation: Any, arguments: tuple[Any, ...]) -> Hashable | None:
        """Return what identifies the code that an operation is compiled to; None if it is not compiled."""


class Ledger(TorchDispatchMode):
    """Takes memory for every storage that is created while it is active, and frees it when the storage dies.

    Args:
        allocator: Of the device.
        kernels: What the device's kernels take internally; None: nothing.
    """

    def __init__(self, allocator: Allocator, kernels: Kernels | None = None) -> None:
        super().__init__()
        self.allocator, self.kernels = allocator, kernels
        self.live_bytes = 0
        """Bytes of the storages that are alive now, whatever the allocator holds for them."""
        self.stage = "building"
        """The current stage of the trial."""
        self.peak_bytes: dict[str, int] = {}
        """Largest size held by the allocator, by stage."""
        self.peak_live_bytes: dict[str, int] = {}
        """Largest size of live storages, by stage: it explains a peak even if the allocator keeps freed memory."""
        self._largest_hidden: dict[str, int] = {}
        self._compiled: set[Hashable] = set()
        self._storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and PyTorch's wrapper against that costs more than we do

    @property
    def compiles(self) -> bool:
        """Whether an operation so far was compiled for its shapes, as it will be again for others."""
        return bool(self._compiled)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Take memory for tensors that were created before the ledger was active."""
        for tensor in tensors:
            self._see(tensor)

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """Take no memory for tensors that stand in for others."""
        for tensor in tensors:
            self._watch(tensor.untyped_storage(), 0)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.prim.device.default:  # two thirds of all calls, and takes no memory
            return args[0].device
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, tuple | list) else (result,):
            if isinstance(item, Tensor):
                self._see(item)
        if self.kernels is not None:
            self._run(self.kernels, func, args)
        return result

    def _run(self, kernels: Kernels, operation: Any, arguments: tuple[Any, ...]) -> None:
        if size := kernels.temporary_bytes(operation, arguments):
            self._largest_hidden[self.stage] = max(self._largest_hidden.get(self.stage, 0), size)
            self._hide(size)
        shapes = kernels.compiled_for(operation, arguments)
        if shapes is not None and shapes not in self._compiled:
            self._compiled.add(shapes)
            self.allocator.take(kernels.compiled_bytes)
            self.live_bytes += kernels.compiled_bytes
            self._note()

    def hide_again(self) -> None:
        """Take and free the most that an operation of this stage took internally, beside all that lives now."""
        self._hide(self._largest_hidden.get(self.stage, 0))

    def _hide(self, size: int) -> None:
        taken = self.allocator.take(size)
        self.live_bytes += size
        self._note()
        self.live_bytes -= size
        self.allocator.give(taken)

    def _see(self, tensor: Tensor) -> None:
        if tensor.device.type == "meta":  # a shape only, whether fake or not
            return
        storage = tensor.untyped_storage()
        if storage._cdata not in self._storages:
            self._watch(storage, storage.nbytes())

    def _watch(self, storage: torch.UntypedStorage, size: int) -> None:
        key, taken = storage._cdata, self.allocator.take(size)
        self.live_bytes += size

        def release(_: weakref.ref[torch.UntypedStorage]) -> None:
            del self._storages[key]
            self.live_bytes -= size
            self.allocator.give(taken)

        self._storages[key] = weakref.ref(storage, release)
        self._note()

    def _note(self) -> None:
        for peaks, now in ((self.peak_bytes, self.allocator.held_bytes), (self.peak_live_bytes, self.live_bytes)):
            peaks[self.stage] = max(peaks.get(self.stage, 0), now)


def nbytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the distinct storages behind `tensors`."""
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())
