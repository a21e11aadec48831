"""The allocators under an estimate, and the ledger that takes memory of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cluster.memory.allocators import CudaAllocator, HostAllocator
from cluster.memory.tensor_ledger import Ledger

MIB = 2**20


def test_the_host_gives_whole_pages_above_the_threshold_and_takes_them_back() -> None:
    host = HostAllocator()
    large = host.take(MIB + 1)
    assert large == host.held_bytes == MIB + 4096
    host.give(large)
    assert host.held_bytes == host.take(0) == 0


def test_the_heap_stays_as_large_as_it_was_until_enough_of_it_is_free() -> None:
    host = HostAllocator()
    block = MIB - 16
    small = [host.take(block) for _ in range(129)]
    full = host.held_bytes
    assert 129 * block < full <= 129 * MIB
    for taken in small[:-1]:
        host.give(taken)
    assert host.held_bytes == full, "128 MiB or less are free"
    host.take(block)
    assert host.held_bytes == full, "what is free is used first"
    host.give(host.take(MIB))
    assert host.held_bytes == full
    more = [host.take(block) for _ in range(200)]
    for taken in more:
        host.give(taken)
    assert host.held_bytes < full


@pytest.mark.parametrize(
    ("size", "segment_mib"),
    [(1, 2), (MIB, 2), (MIB + 1, 20), (10 * MIB - 512, 20), (10 * MIB, 10), (11 * MIB + 1, 12)],
)
def test_a_gpu_is_taken_in_segments(size: int, segment_mib: int) -> None:
    allocator = CudaAllocator()
    allocator.take(size)
    assert allocator.held_bytes == segment_mib * MIB


def test_segments_are_split_best_fit_merged_and_never_given_back() -> None:
    allocator = CudaAllocator()
    first, second, third = allocator.take(8 * MIB), allocator.take(4 * MIB), allocator.take(6 * MIB)
    assert allocator.held_bytes == 20 * MIB, "8 + 4 + 6 share a segment of 20"
    allocator.give(first)
    allocator.give(third)
    allocator.give(allocator.take(6 * MIB))  # in the hole of 8 at the end, the tightest: 6 and the rest of 2
    assert allocator.held_bytes == 20 * MIB
    allocator.take(12 * MIB)
    assert allocator.held_bytes == 32 * MIB, "two holes of 8 do not make one of 12"
    allocator.give(second)
    allocator.take(18 * MIB)
    assert allocator.held_bytes == 32 * MIB, "the first segment is whole again"
    allocator.take(400)
    assert allocator.held_bytes == 34 * MIB, "small tensors have segments of their own"


def test_a_small_rest_of_a_large_block_stays_with_it() -> None:
    allocator = CudaAllocator()
    allocator.take(20 * MIB - MIB)
    allocator.take(512 * 1024)  # small: not from the rest of 1 MiB, which was never split off
    assert allocator.held_bytes == 22 * MIB
    assert allocator.take(0) is None


def test_a_ledger_sees_storages_once_and_their_end() -> None:
    with FakeTensorMode(), Ledger(HostAllocator()) as ledger:
        ledger.stage = "training"
        one = torch.zeros(MIB)
        view = one.view(-1, 2)[1:]
        assert ledger.live_bytes == 4 * MIB
        other = view + 1
        del one
        assert ledger.live_bytes > 7 * MIB, "a view keeps its storage"
        del view
        ledger.stage = "probes"
        del other
        torch.zeros(1)
    assert ledger.live_bytes == 0
    assert ledger.peak_bytes["training"] > 7 * MIB > ledger.peak_bytes["probes"] > 0


class _Adds:
    """An addition takes 3 MiB while it runs, and keeps 2 MiB for each shape."""

    compiled_bytes = 2 * MIB

    def temporary_bytes(self, operation: Any, arguments: tuple[Any, ...]) -> int:
        return 3 * MIB if "add" in operation.name() else 0

    def compiled_for(self, operation: Any, arguments: tuple[Any, ...]) -> Any:
        return arguments[0].shape if "add" in operation.name() else None


def test_what_an_operation_takes_internally_is_in_the_peak_and_what_is_compiled_stays() -> None:
    with FakeTensorMode(), Ledger(HostAllocator(), _Adds()) as ledger:
        one, other = torch.zeros(8), torch.zeros(9)
        assert not ledger.compiles
        one += 1
        assert ledger.peak_live_bytes["building"] == 3 * MIB + 32 + 36
        assert ledger.live_bytes == 2 * MIB + 32 + 36
        one += 1
        assert ledger.live_bytes == 2 * MIB + 32 + 36, "compiled once for a shape"
        other += 1
        assert ledger.live_bytes == 4 * MIB + 32 + 36
        ledger.stage = "training"
        ledger.hide_again()
        assert ledger.peak_live_bytes["training"] == ledger.live_bytes, "nothing was hidden in this stage"
    assert ledger.compiles
