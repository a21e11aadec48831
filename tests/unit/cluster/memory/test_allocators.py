"""The allocators under an estimate, and the ledger that takes memory of them."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cluster.memory.allocators import CudaAllocator, HostAllocator
from cluster.memory.tensor_ledger import Ledger

MIB = 2**20


def test_the_host_gives_whole_pages_above_the_threshold_and_takes_everything_back() -> None:
    host = HostAllocator()
    large, small = host.take(MIB + 1), host.take(5)
    assert large == MIB + 4096
    assert host.held_bytes == large + small < MIB + 2 * 4096
    host.give(large)
    host.give(small)
    assert host.held_bytes == host.take(0) == 0


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


def test_what_an_operation_hides_is_in_the_peak_and_not_in_what_lives() -> None:
    def hidden(operation: object, arguments: object) -> int:
        return 3 * MIB if "add" in str(operation) else 0

    with FakeTensorMode(), Ledger(HostAllocator(), hidden) as ledger:
        one = torch.zeros(8)
        one += 1
        held = ledger.live_bytes
    assert held == 32
    assert ledger.peak_bytes["building"] == pytest.approx(3 * MIB, rel=0.01)
