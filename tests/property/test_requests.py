"""What must hold of any request on any machine: nothing is promised twice, and nothing that fits is refused."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cluster.inventory import GpuGroup, Inventory
from cluster.placement.request import Request, ResourceError, check_fits, concurrency

REQUESTS = st.builds(
    Request,
    workers=st.integers(1, 3),
    cpu=st.integers(1, 8),
    gpu=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0]),
    memory_mib=st.integers(1, 40).map(lambda steps: 256 * steps),
    size_class=st.just(0),
)
GPUS = st.builds(
    GpuGroup,
    kind=st.just("H100"),
    memory_mib=st.just(81_559),
    free_mib=st.one_of(st.none(), st.integers(0, 81_559)),
    count=st.integers(1, 4),
)
MACHINES = st.builds(
    Inventory,
    cpus=st.integers(1, 32),
    memory_mib=st.integers(0, 60_000),
    gpus=st.lists(GPUS, max_size=2).map(tuple),
)


def cluster(*nodes: Inventory) -> Inventory:
    return Inventory(
        cpus=sum(node.cpus for node in nodes),
        memory_mib=sum(node.memory_mib for node in nodes),
        gpus=tuple(gpu for node in nodes for gpu in node.gpus),
        nodes=nodes,
    )


@given(REQUESTS, MACHINES)
def test_nothing_is_promised_twice(request, machine) -> None:
    trials = concurrency(request, machine)
    workers = trials * request.workers
    assert workers * request.cpu <= machine.cpus
    if request.gpu == 0:
        assert workers * request.memory_mib + trials * request.driver_mib <= machine.memory_mib
        return
    shares = round(1 / request.gpu)
    by_memory = [
        gpu.count * min(shares, shares if gpu.free_mib is None else gpu.free_mib // request.memory_mib)
        for gpu in machine.gpus
    ]
    assert workers <= sum(by_memory)
    assert trials * request.driver_mib <= machine.memory_mib


@given(REQUESTS, MACHINES)
def test_one_more_would_not_fit(request, machine) -> None:
    """Cores or memory run out, whichever is first; on GPUs their shares can too."""
    trials = concurrency(request, machine) + 1
    workers = trials * request.workers
    if request.gpu == 0:
        needed_mib = workers * request.memory_mib + trials * request.driver_mib
        assert workers * request.cpu > machine.cpus or needed_mib > machine.memory_mib


@given(REQUESTS, MACHINES, st.integers(0, 8), st.integers(0, 9000))
def test_a_larger_machine_never_runs_less(request, machine, cpus, memory_mib) -> None:
    larger = replace(machine, cpus=machine.cpus + cpus, memory_mib=machine.memory_mib + memory_mib)
    assert concurrency(request, larger) >= concurrency(request, machine)


@given(REQUESTS, st.lists(MACHINES, min_size=1, max_size=3))
def test_a_cluster_runs_what_its_machines_run_by_themselves(request, machines) -> None:
    """And more only where the workers of one trial can be on several machines."""
    apart = sum(concurrency(request, machine) for machine in machines)
    together = concurrency(request, cluster(*machines))
    assert together == apart if request.workers == 1 else together >= apart


@given(REQUESTS, st.lists(MACHINES, min_size=1, max_size=3))
def test_what_fits_nowhere_is_refused_and_nothing_else_is(request, machines) -> None:
    inventory = cluster(*machines) if len(machines) > 1 else machines[0]
    try:
        check_fits(request, inventory)
    except ResourceError as error:
        assert concurrency(request, inventory) == 0
        assert "set " in str(error), "a refusal says what to change"
    else:
        assert concurrency(request, inventory) > 0
