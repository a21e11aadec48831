"""Counts what fake tensors would take from an allocator: the peak in each stage of a trial."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cluster.memory.allocators import Allocator


class Ledger(TorchDispatchMode):
    """Takes memory for every storage that is created while it is active, and frees it when the storage dies.

    `hidden` returns what an operation takes and frees internally, for operations whose internals
    fake tensors do not run.
    """

    def __init__(self, allocator: Allocator, hidden: Callable[[Any, tuple[Any, ...]], int] = lambda *_: 0) -> None:
        super().__init__()
        self.allocator = allocator
        self.hidden = hidden
        self.live_bytes = 0
        """Bytes of the storages that are alive now, whatever the allocator holds for them."""
        self.stage = "building"
        """The current stage of the trial."""
        self.peak_bytes: dict[str, int] = {}
        """Largest size held by the allocator, by stage."""
        self.peak_live_bytes: dict[str, int] = {}
        """Largest size of live storages, by stage: it explains a peak even if the allocator keeps freed memory."""
        self._largest_hidden = 0
        self._storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and PyTorch's wrapper against that costs more than we do

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
        if size := self.hidden(func, args):
            self._largest_hidden = max(self._largest_hidden, size)
            self.hide_again()
        return result

    def hide_again(self) -> None:
        """Take and free the most that an operation took internally, in addition to all live tensors."""
        taken = self.allocator.take(self._largest_hidden)
        self.live_bytes += self._largest_hidden
        self._note()
        self.live_bytes -= self._largest_hidden
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
