import pytest

from cluster.inventory import GpuGroup, Inventory
from cluster.memory.estimate import MemoryEstimate
from cluster.memory.worker import of_one_worker
from cluster.placement.request import (
    DRIVER_MIB,
    Request,
    ResourceError,
    check_fits,
    concurrency,
    is_limited_by_cores,
)
from trainables.config.resources import ResourceConfig


def estimate_of(total_mib):
    return MemoryEstimate(
        parameters_mib=total_mib,
        gradients_mib=0.0,
        optimizer_mib=0.0,
        activations_mib=0.0,
        workspace_mib=0.0,
        context_mib=0.0,
    )


def request(*, workers=1, cpu=1, gpu=0.0, memory_mib=1024):
    return Request(workers=workers, cpu=cpu, gpu=gpu, memory_mib=memory_mib, size_class=0)


def h100(count=1, free_mib=80_000):
    return GpuGroup(kind="H100", memory_mib=81_559, free_mib=free_mib, count=count)


@pytest.mark.parametrize(
    ("asked", "machine", "trials"),
    [
        (request(), Inventory(cpus=4, memory_mib=10_000), 4),
        (request(), Inventory(cpus=4, memory_mib=3000), 2),
        (request(cpu=3), Inventory(cpus=8, memory_mib=10_000), 2),
        (request(gpu=0.25), Inventory(cpus=16, memory_mib=1, gpus=(h100(2),)), 8),
        (request(gpu=1 / 3), Inventory(cpus=16, memory_mib=1, gpus=(h100(),)), 3),
        (request(gpu=0.25, memory_mib=30_000), Inventory(cpus=16, memory_mib=1, gpus=(h100(),)), 2),
        (request(gpu=0.25), Inventory(cpus=3, memory_mib=1, gpus=(h100(2),)), 3),
        (request(gpu=0.5), Inventory(cpus=9, memory_mib=1, gpus=(h100(2, free_mib=None),)), 4),
        (request(gpu=0.5), Inventory(cpus=9, memory_mib=9000), 0),
    ],
)
def test_concurrency_is_the_scarcest_resource(asked, machine, trials):
    assert concurrency(asked, machine) == trials


def test_a_trial_must_fit_into_one_machine():
    small = Inventory(cpus=2, memory_mib=4000)
    cluster = Inventory(cpus=6, memory_mib=12_000, nodes=(small, small, small))
    assert concurrency(request(cpu=2), cluster) == 3
    assert concurrency(request(cpu=3), cluster) == 0
    with pytest.raises(ResourceError, match="needs 3 CPUs per trial, the largest machine has 2"):
        check_fits(request(cpu=3), cluster)


@pytest.mark.parametrize(
    ("asked", "machine", "message"),
    [
        (
            request(cpu=4),
            Inventory(cpus=2, memory_mib=9000),
            "needs 4 CPUs per trial, this machine has 2; set resources.cpus_per_trial to at most 2",
        ),
        (
            request(memory_mib=4096),
            Inventory(cpus=2, memory_mib=2000),
            "needs 4096 MiB of memory per trial, this machine has 2000 MiB free; "
            "set resources.micro_batch_size lower, choose a smaller --scale, or end other programs",
        ),
        (
            request(gpu=0.5),
            Inventory(cpus=2, memory_mib=2000),
            "needs 0.5 GPU per trial, this machine has none; set resources.gpus_per_trial to 0 to run on the CPU",
        ),
        (
            request(gpu=1.0, memory_mib=90_112),
            Inventory(cpus=2, memory_mib=2000, gpus=(h100(),)),
            "needs 90112 MiB of GPU memory per trial, the freest GPU has 80000 MiB free; "
            "set resources.micro_batch_size lower, or end other programs on the GPU",
        ),
    ],
)
def test_what_cannot_fit_is_refused_with_numbers_and_a_proposal(asked, machine, message):
    with pytest.raises(ResourceError) as error:
        check_fits(asked, machine)
    assert str(error.value) == message


def test_resources_scattered_over_a_cluster_do_not_add_up():
    cores, memory = Inventory(cpus=8, memory_mib=100), Inventory(cpus=1, memory_mib=9000)
    cluster = Inventory(cpus=9, memory_mib=9100, nodes=(cores, memory))
    with pytest.raises(ResourceError, match=r"4 CPUs and 1024 MiB.*no machine of the cluster has both"):
        check_fits(request(cpu=4), cluster)
    gpu_node = Inventory(cpus=1, memory_mib=100, gpus=(h100(),))
    with pytest.raises(ResourceError, match=r"1 GPU and 4 CPUs.*no machine of the cluster has both"):
        check_fits(
            request(cpu=4, gpu=1.0),
            Inventory(cpus=9, memory_mib=200, gpus=gpu_node.gpus, nodes=(cores, gpu_node)),
        )


@pytest.mark.parametrize(
    ("share", "trials", "gpus"), [(0.0, 4, 0), (0.6, 5, 5), (0.5, 5, 3), (1 / 3, 6, 2), (0.42, 8, 4), (1.0, 3, 3)]
)
def test_so_many_trials_take_so_many_gpus(share, trials, gpus):
    """A session that offers fewer would leave GPUs idle."""
    assert request(gpu=share).num_gpus(trials) == gpus


PAIR = 2 * 1024 + DRIVER_MIB
"""Memory of a trial of two workers."""


@pytest.mark.parametrize(
    ("asked", "machine", "trials"),
    [
        (request(workers=2), Inventory(cpus=2, memory_mib=PAIR), 1),
        (request(workers=2), Inventory(cpus=2, memory_mib=PAIR - 1), 0),
        (request(workers=2), Inventory(cpus=5, memory_mib=5 * PAIR), 2),
        (request(workers=2), Inventory(cpus=9, memory_mib=2 * PAIR + 1024), 2),
        (request(workers=2, cpu=2), Inventory(cpus=5, memory_mib=5 * PAIR), 1),
        (request(workers=2, gpu=1.0), Inventory(cpus=16, memory_mib=9000, gpus=(h100(5),)), 2),
        (request(workers=2, gpu=1.0), Inventory(cpus=16, memory_mib=DRIVER_MIB, gpus=(h100(5),)), 1),
    ],
)
def test_a_trial_of_several_workers_takes_them_all_and_a_driver(asked, machine, trials):
    assert concurrency(asked, machine) == trials


def test_the_workers_of_a_trial_may_be_on_several_machines():
    lone = Inventory(cpus=1, memory_mib=PAIR)
    cluster = Inventory(cpus=3, memory_mib=3 * PAIR, nodes=(lone, lone, lone))
    assert concurrency(request(workers=3), cluster) == 1
    check_fits(request(workers=3), cluster)
    with pytest.raises(ResourceError, match=r"4 workers per trial.*the cluster has room for 3; set"):
        check_fits(request(workers=4), cluster)


@pytest.mark.parametrize(
    ("asked", "machine", "message"),
    [
        (
            request(workers=4),
            Inventory(cpus=3, memory_mib=90_000),
            "needs 4 workers per trial, each with 1 CPU and 1024 MiB of memory, this machine has room for 3; "
            "set resources.workers to at most 3",
        ),
        (
            request(workers=2, cpu=4),
            Inventory(cpus=3, memory_mib=90_000),
            "needs 4 CPUs per worker, this machine has 3; set resources.cpus_per_trial to at most 3",
        ),
        (
            request(workers=2),
            Inventory(cpus=2, memory_mib=2048),
            "needs 3328 MiB of memory per trial, 1280 MiB of it to drive its 2 workers, this machine has 2048 MiB "
            "free; set resources.workers or resources.micro_batch_size lower",
        ),
    ],
)
def test_workers_that_do_not_fit_together_are_refused_with_numbers(asked, machine, message):
    with pytest.raises(ResourceError) as error:
        check_fits(asked, machine)
    assert str(error.value) == message


def test_a_divided_model_costs_each_worker_its_share_and_the_whole_while_probed():
    whole = MemoryEstimate(
        parameters_mib=100.0,
        gradients_mib=80.0,
        optimizer_mib=160.0,
        activations_mib=30.0,
        workspace_mib=20.0,
        context_mib=512.0,
    )
    assert of_one_worker(whole, ResourceConfig(workers=1)) == whole
    assert of_one_worker(whole, ResourceConfig(workers=4)).total_mib == whole.total_mib + 100.0
    divided = of_one_worker(whole, ResourceConfig(workers=4, sharding="fsdp"))
    assert (divided.parameters_mib, divided.gradients_mib, divided.optimizer_mib) == (125.0, 20.0, 40.0)
    assert (divided.activations_mib, divided.workspace_mib) == (30.0, 20.0)


def test_it_is_known_whether_cores_or_memory_are_the_limit():
    gpus = (GpuGroup(kind="A", memory_mib=10_000, free_mib=10_000, count=2),)
    small = Request(workers=1, cpu=1, gpu=0.1, memory_mib=1000, size_class=0, gpu_kind="A")
    assert is_limited_by_cores(small, Inventory(cpus=8, memory_mib=10, gpus=gpus))
    assert not is_limited_by_cores(small, Inventory(cpus=20, memory_mib=10, gpus=gpus))
    machines = tuple(Inventory(cpus=cpus, memory_mib=4000) for cpus in (2, 9))
    cluster = Inventory(cpus=11, memory_mib=8000, nodes=machines)
    on_cpus = Request(workers=1, cpu=1, gpu=0.0, memory_mib=1000, size_class=0)
    assert is_limited_by_cores(on_cpus, cluster)
    assert not is_limited_by_cores(on_cpus, Inventory(cpus=9, memory_mib=4000, nodes=machines[1:]))


def test_what_fits_passes():
    check_fits(request(), Inventory(cpus=1, memory_mib=1024))
