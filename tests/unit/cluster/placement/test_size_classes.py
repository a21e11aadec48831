"""Size classes: few, well filled, and asked for by kind of GPU."""

from __future__ import annotations

import itertools

import pytest

from cluster.inventory import GpuGroup, Inventory
from cluster.placement.request import ResourceError
from cluster.placement.size_classes import (
    HEADROOM,
    MAX_CLASSES,
    MAX_WASTE,
    STEP_MIB,
    pack,
    size_classes,
    with_headroom,
)
from cluster.placement.slots import Slots
from trainables.config.resources import ResourceConfig

GIB = 1024


def gpus(kind: str, count: int, free_gib: float, total_gib: float | None = None) -> Inventory:
    gpu = GpuGroup(
        kind=kind, memory_mib=int((total_gib or free_gib) * GIB), free_mib=int(free_gib * GIB), count=count
    )
    return Inventory(cpus=64, memory_mib=512 * GIB, gpus=(gpu,))


def cluster(*machines: Inventory) -> Inventory:
    return Inventory(
        cpus=sum(machine.cpus for machine in machines),
        memory_mib=sum(machine.memory_mib for machine in machines),
        gpus=tuple(gpu for machine in machines for gpu in machine.gpus),
        nodes=machines,
    )


BY_MEMORY = ResourceConfig(gpus_per_trial="by_memory")


@pytest.mark.parametrize(
    ("sizes", "classes"),
    [
        ([512], (512,)),
        ([512, 512, 768], (768, 512)),
        ([1024] * 20 + [768], (1024,)),  # one class wastes less than the limit
        ([256, 1024, 1280, 4096], (4096, 1280, 256)),
        ([256 * i for i in range(1, 6)], (1280, 768, 256)),
    ],
)
def test_the_fewest_classes_that_waste_little(sizes: list[int], classes: tuple[int, ...]) -> None:
    assert size_classes(sizes) == classes


def test_no_choice_of_as_many_classes_wastes_less() -> None:
    """Against all choices, tried one by one."""
    sizes = [256, 512, 512, 1024, 1280, 2048, 2304, 5120, 5376]

    def asked(chosen: tuple[int, ...]) -> int:
        return sum(min(c for c in chosen if c >= size) for size in sizes)

    found = size_classes(sizes)
    assert asked(found) <= (1 + MAX_WASTE) * sum(sizes)
    distinct = sorted(set(sizes))
    for number in range(1, len(found) + 1):
        best = min(asked((*some, distinct[-1])) for some in itertools.combinations(distinct[:-1], number - 1))
        assert best == asked(found) if number == len(found) else best > (1 + MAX_WASTE) * sum(sizes)


def test_there_are_never_more_than_eight_classes() -> None:
    """Twelve sizes that matter equally, each twice the one before: more classes would waste less."""
    sizes = [STEP_MIB * 2**i for i in range(12) for _ in range(2 ** (12 - i))]
    assert len(size_classes(sizes)) == MAX_CLASSES


def test_classes_need_a_size() -> None:
    with pytest.raises(ValueError, match="at least one size"):
        size_classes([])


def test_every_configuration_gets_its_need_with_headroom() -> None:
    needs = {"small": 200.0, "medium": 1000.0, "large": 3000.0}
    packing = pack(ResourceConfig(), needs, Inventory(cpus=8, memory_mib=9000))
    assert [one.memory_mib for one in packing.classes] == [3328, 1280, 256]
    assert [one.concurrency for one in packing.classes] == [2, 7, 8]
    assert all(packing.class_of(name).memory_mib >= need * (1 + HEADROOM) for name, need in needs.items())
    assert packing.waste == 0.0


def test_what_fits_nowhere_is_refused_though_the_rest_fits() -> None:
    with pytest.raises(ResourceError, match="needs 11008 MiB of memory per trial, this machine has 9000"):
        pack(ResourceConfig(), {"small": 300.0, "large": 10_000.0}, Inventory(cpus=8, memory_mib=9000))


def test_the_accident_four_runs_of_36_gb_on_one_gpu() -> None:
    """Started together on 94.5 GB they were all lost; by memory two of them run at a time."""
    packing = pack(BY_MEMORY, {"run": 36.0 * GIB}, gpus("H100", 1, 94.5))
    (only,) = packing.classes
    assert only.memory_mib == with_headroom(36 * GIB)
    assert only.concurrency == 2
    assert 2 * only.memory_mib <= 94.5 * GIB < 3 * only.memory_mib


def test_a_share_is_of_the_memory_that_is_free_on_the_fullest_gpu() -> None:
    machines = cluster(gpus("A", 1, 40), gpus("A", 1, 20))
    (only,) = pack(BY_MEMORY, {"run": 9 * GIB}, machines).classes
    assert [(r.gpu_kind, r.gpu) for r in only.requests] == [(None, 0.5)]
    assert only.concurrency == 4


def test_each_kind_of_gpu_has_a_share_of_its_own() -> None:
    machines = cluster(gpus("large", 4, 94.5), gpus("small", 2, 24))
    packing = pack(BY_MEMORY, {"big": 36 * GIB, "little": 5 * GIB}, machines)
    big, little = packing.classes
    assert [(r.gpu_kind, n) for r, n in zip(big.requests, big.slots, strict=True)] == [("large", 8)]
    assert [(r.gpu_kind, n) for r, n in zip(little.requests, little.slots, strict=True)] == [
        ("large", 4 * 17),
        ("small", 2 * 4),
    ] or little.concurrency <= 64 + 64  # cores are the other limit
    shares = {request.gpu_kind: request.gpu for request in little.requests}
    assert shares["small"] == pytest.approx(little.memory_mib / (24 * GIB), abs=1e-4)
    assert shares["large"] == pytest.approx(little.memory_mib / (94.5 * GIB), abs=1e-4)


def test_kinds_that_share_a_machine_cannot_be_told_apart() -> None:
    one = gpus("large", 1, 80)
    mixed = Inventory(cpus=64, memory_mib=GIB, gpus=(*one.gpus, *gpus("small", 1, 20).gpus))
    (only,) = pack(BY_MEMORY, {"run": 9 * GIB}, mixed).classes
    assert [(r.gpu_kind, r.gpu) for r in only.requests] == [(None, 0.5)]
    assert only.concurrency == 4


def test_fewer_trials_on_a_gpu_if_wished() -> None:
    resources = ResourceConfig(gpus_per_trial="by_memory", max_trials_per_gpu=3)
    (only,) = pack(resources, {"run": GIB}, gpus("A", 2, 40)).classes
    assert only.concurrency == 6


def test_a_limit_on_trials_per_gpu_needs_packing_by_memory() -> None:
    with pytest.raises(ValueError, match="max_trials_per_gpu=3 needs gpus_per_trial=by_memory"):
        ResourceConfig(gpus_per_trial=0.5, max_trials_per_gpu=3)


def test_by_memory_needs_gpus_and_their_memory() -> None:
    with pytest.raises(ResourceError, match="needs 1 GPU per trial, this machine has none"):
        pack(BY_MEMORY, {"run": GIB}, Inventory(cpus=2, memory_mib=9000))
    unknown = Inventory(
        cpus=2, memory_mib=9000, gpus=(GpuGroup(kind="A", memory_mib=None, free_mib=None, count=1),)
    )
    with pytest.raises(ResourceError, match=r"that of 'A' is not known; set resources\.gpus_per_trial to a share"):
        pack(BY_MEMORY, {"run": GIB}, unknown)
    with pytest.raises(ResourceError, match="45056 MiB of GPU memory per trial, the freest GPU has 24576 MiB"):
        pack(BY_MEMORY, {"run": 40 * GIB}, gpus("small", 2, 24))


def test_trials_go_where_there_is_most_room_and_wait_their_turn() -> None:
    machines = cluster(gpus("large", 1, 80), gpus("small", 1, 20))
    packing = pack(BY_MEMORY, {"big": 35 * GIB, "little": 9 * GIB}, machines)
    slots = Slots(packing, look_ahead=1)
    assert [slots.acquire(f"big {i}", 0).gpu_kind for i in range(2)] == ["large", "large"]
    assert not slots.has_room(0)
    assert slots.has_room(1), "the small GPU is idle"
    assert [slots.acquire(f"little {i}", 1).gpu_kind for i in range(2)] == ["small", "small"]
    assert slots.is_full
    slots.release("big 0")
    assert slots.has_room(0)
    assert [slots.acquire(f"little {i}", 1).gpu_kind for i in range(2, 6)] == ["large"] * 4
    assert slots.is_full
    slots.release("nobody")
    assert slots.is_full
