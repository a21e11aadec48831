"""Models of the memory allocators below a trial: how much a process holds for the tensors it has."""

from __future__ import annotations

import bisect
from typing import Any, Literal, Protocol

from trainables.units import MIB

Device = Literal["cpu", "cuda"]


_PAGE = 4096
_HOST_MMAP = MIB
"""`MALLOC_MMAP_THRESHOLD_` of a worker: tensors of this size and above are mapped and unmapped one by one."""
_HOST_TRIM = 128 * MIB
"""`MALLOC_TRIM_THRESHOLD_` of a worker: free bytes of the heap beyond which they go back."""

_CUDA_GRAIN = 512
_CUDA_SMALL = MIB
_CUDA_SMALL_SEGMENT = 2 * MIB
_CUDA_MIDDLE = 10 * MIB
_CUDA_MIDDLE_SEGMENT = 20 * MIB


class Allocator(Protocol):
    """The allocator that a ledger takes memory from."""

    @property
    def held_bytes(self) -> int:
        """Bytes that the process holds now."""

    def take(self, size: int) -> Any:
        """Take `size` bytes; return the handle that `give` needs."""

    def give(self, taken: Any) -> None:
        """Free what `take` returned."""


class HostAllocator:
    """glibc with the thresholds of a worker: what is mapped goes back to the kernel when it is freed, in whole
    pages; the heap of smaller tensors stays as large as it ever was, until enough of it is free."""

    def __init__(self) -> None:
        self._mapped_bytes = self._used_bytes = self._heap_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that the process holds now."""
        return self._mapped_bytes + self._heap_bytes

    def take(self, size: int) -> int:
        """Take `size` bytes: whole pages above the threshold, otherwise 16-byte grains of the heap.

        Returns:
            Bytes taken; negative if of the heap.
        """
        if size >= _HOST_MMAP:
            mapped = _rounded(size + 16, _PAGE)
            self._mapped_bytes += mapped
            return mapped
        used = _rounded(size + 8, 16) if size else 0
        self._used_bytes += used
        self._heap_bytes = max(self._heap_bytes, self._used_bytes)
        return -used

    def give(self, taken: int) -> None:
        """Free memory."""
        if taken > 0:
            self._mapped_bytes -= taken
            return
        self._used_bytes += taken
        if self._heap_bytes - self._used_bytes > _HOST_TRIM:
            self._heap_bytes = self._used_bytes


def _rounded(size: int, grain: int) -> int:
    return -(-size // grain) * grain


class _Block:
    """A contiguous part of a segment of GPU memory."""

    __slots__ = ("free", "next", "pool", "previous", "size")

    def __init__(self, size: int, pool: list[_Block], previous: _Block | None, following: _Block | None) -> None:
        self.size, self.pool, self.free = size, pool, False
        self.previous, self.next = previous, following


class CudaAllocator:
    """PyTorch's caching allocator on one stream: segments are kept, split best-fit and merged again.

    `held_bytes` corresponds to `torch.cuda.memory_reserved`. Nothing is given back to the GPU, as in a trial that
    never runs out of memory.

    Source:
        PyTorch, c10/cuda/CUDACachingAllocator.cpp, with its default settings.
    """

    def __init__(self) -> None:
        self.held_bytes = 0
        self._small: list[_Block] = []
        self._large: list[_Block] = []

    def take(self, size: int) -> _Block | None:
        """Take `size` bytes from the smallest free block they fit in, or from a new segment."""
        if size == 0:
            return None
        rounded = -(-size // _CUDA_GRAIN) * _CUDA_GRAIN
        pool = self._small if rounded <= _CUDA_SMALL else self._large
        index = bisect.bisect_left(pool, rounded, key=_size)
        block = pool.pop(index) if index < len(pool) else self._segment(rounded, pool)
        rest = block.size - rounded
        if rest >= _CUDA_GRAIN if pool is self._small else rest > _CUDA_SMALL:
            block.size = rounded
            tail = _Block(rest, pool, block, block.next)
            if block.next:
                block.next.previous = tail
            block.next = tail
            self._release(tail)
        block.free = False
        return block

    def give(self, taken: _Block | None) -> None:
        """Free a block, merging it with its free neighbours."""
        if taken is None:
            return
        for neighbour in (taken.previous, taken.next):
            if neighbour is not None and neighbour.free:
                taken.pool.remove(neighbour)
                self._merge(taken, neighbour)
        self._release(taken)

    def _segment(self, size: int, pool: list[_Block]) -> _Block:
        if size <= _CUDA_SMALL:
            segment = _CUDA_SMALL_SEGMENT
        elif size < _CUDA_MIDDLE:
            segment = _CUDA_MIDDLE_SEGMENT
        else:
            segment = -(-size // _CUDA_SMALL_SEGMENT) * _CUDA_SMALL_SEGMENT
        self.held_bytes += segment
        return _Block(segment, pool, None, None)

    @staticmethod
    def _merge(block: _Block, neighbour: _Block) -> None:
        block.size += neighbour.size
        if neighbour is block.previous:
            block.previous = neighbour.previous
            if block.previous:
                block.previous.next = block
        else:
            block.next = neighbour.next
            if block.next:
                block.next.previous = block

    @staticmethod
    def _release(block: _Block) -> None:
        block.free = True
        bisect.insort(block.pool, block, key=_size)


def _size(block: _Block) -> int:
    return block.size


def allocator_of(device: Device) -> Allocator:
    """Return a model of the allocator of a trial on `device`."""
    return CudaAllocator() if device == "cuda" else HostAllocator()
