import os
from dataclasses import replace

import psutil
import pytest

from cluster import inventory
from cluster.inventory import (
    GpuGroup,
    Inventory,
    cluster_inventory,
    hypothetical_inventory,
    local_inventory,
    parse_nvidia_smi,
)
from cluster.memory.cuda_context import ASSUMED_MIB, first_visible, largest_context_mib, with_contexts

GIB = 2**30


@pytest.fixture
def big_machine(monkeypatch):
    """64 cores and 100 GiB free, without nvidia-smi."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    free = psutil.virtual_memory()._replace(available=100 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(inventory.shutil, "which", lambda program: None)


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")


def test_without_limits_the_machine_is_the_limit(big_machine, tmp_path):
    found = local_inventory(tmp_path)
    assert (found.cpus, found.memory_mib, found.gpus) == (64, 100 * 1024, ())


def test_affinity_limits_the_cores(big_machine, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 7})
    assert local_inventory(tmp_path).cpus == 2


def test_cgroup_2_takes_the_tightest_ancestor(big_machine, tmp_path):
    group = "sys/fs/cgroup/jobs"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/jobs/mine\n",
            f"{group}/cpu.max": "350000 100000\n",
            f"{group}/memory.max": "max\n",
            f"{group}/mine/cpu.max": "max 100000\n",
            f"{group}/mine/memory.max": f"{8 * GIB}\n",
            f"{group}/mine/memory.current": f"{3 * GIB}\n",
            f"{group}/mine/memory.stat": f"anon 5\ninactive_file {GIB}\n",
        },
    )
    found = local_inventory(tmp_path)
    assert found.cpus == 3  # 3.5 cores hold three whole trials
    assert found.memory_mib == 6 * 1024  # 8 - 3 used + 1 of page cache the kernel gives back


def test_cgroup_1_quota_and_limit(big_machine, tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{4 * GIB}\n",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{GIB}\n",
            "sys/fs/cgroup/memory/box/memory.stat": "total_inactive_file 0\n",
        },
    )
    found = local_inventory(tmp_path)
    assert found.cpus == 1  # half a core still runs one trial
    assert found.memory_mib == 3 * 1024


def test_cgroup_1_without_limits_and_a_path_the_container_cannot_see(big_machine, tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu:/outside\n4:memory:/outside\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert (local_inventory(tmp_path).cpus, local_inventory(tmp_path).memory_mib) == (64, 100 * 1024)


def test_this_machine_offers_something():
    found = local_inventory()
    assert 1 <= found.cpus <= os.cpu_count()
    assert 0 < found.memory_mib <= psutil.virtual_memory().total // inventory.MIB
    assert found.machines == (found,)


SMI = """0, GPU-aaaa, NVIDIA H100 80GB HBM3, 81559, 81000
1, GPU-bbbb, NVIDIA H100 80GB HBM3, 81559, 40000
2, GPU-cccc, NVIDIA A10, 23028, 22000
"""


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, {"NVIDIA H100 80GB HBM3": (2, 40000), "NVIDIA A10": (1, 22000)}),
        ("0,2", {"NVIDIA H100 80GB HBM3": (1, 81000), "NVIDIA A10": (1, 22000)}),
        ("GPU-b", {"NVIDIA H100 80GB HBM3": (1, 40000)}),
        ("", {}),
    ],
)
def test_gpus_are_grouped_by_kind_with_the_fullest_ones_free_memory(visible, expected):
    gpus = parse_nvidia_smi(SMI, visible=visible)
    assert {gpu.kind: (gpu.count, gpu.free_mib) for gpu in gpus} == expected


def test_a_broken_driver_is_noted_and_leaves_no_gpus(big_machine, monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setattr(inventory.shutil, "which", lambda name: str(program))
    found = local_inventory(tmp_path)
    assert found.gpus == ()
    assert found.notes == ("nvidia-smi failed: NVIDIA-SMI has failed",)


def test_a_cluster_is_its_machines():
    found = cluster_inventory(
        [
            ({"CPU": 8.0, "memory": 16.0 * GIB, "object_store_memory": 1.0, "node:10.0.0.1": 1.0}, ()),
            ({"CPU": 16.0, "memory": 64.0 * GIB, "GPU": 2.0, "accelerator_type:H100": 1.0}, ()),
        ]
    )
    assert (found.cpus, found.memory_mib) == (24, 80 * 1024)
    assert found.gpus == (GpuGroup(kind="H100", memory_mib=None, free_mib=None, count=2),)
    assert [machine.cpus for machine in found.machines] == [8, 16]


def test_a_node_tells_the_memory_of_its_gpus_and_ray_their_kind():
    said = GpuGroup(kind="NVIDIA H100 80GB HBM3", memory_mib=81_559, free_mib=70_000, count=2, context_mib=512.0)
    found = cluster_inventory([({"CPU": 16.0, "GPU": 2.0, "accelerator_type:H100": 1.0}, (said,))])
    assert found.gpus == (GpuGroup(kind="H100", memory_mib=81_559, free_mib=70_000, count=2, context_mib=512.0),)


def test_gpus_can_be_imagined():
    found = hypothetical_inventory("4x94.5GiB, 2x24gib")
    assert [(gpu.count, gpu.free_mib) for gpu in found.gpus] == [(4, 96_768), (2, 24_576)]
    assert [gpu.kind for machine in found.machines for gpu in machine.gpus] == ["94.5 GiB", "24 GiB"]


@pytest.mark.parametrize("text", ["", "4", "4x", "4x24", "0x24GiB", "2x0GiB", "4x24GiB;2x8GiB", "-1x24GiB"])
def test_what_says_no_gpus_is_refused(text):
    with pytest.raises(ValueError, match=r"says no GPUs; write them as 4x94\.5GiB,2x24GiB"):
        hypothetical_inventory(text)


def test_a_context_that_cannot_be_measured_is_noted_and_assumed(monkeypatch):
    """No such GPU is here, so the process that would measure fails; that much can be tried everywhere."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "none-of-them")
    gpu = GpuGroup(kind="A", memory_mib=100, free_mib=100, count=1)
    found = with_contexts(Inventory(cpus=1, memory_mib=1, gpus=(gpu,)))
    assert found.gpus == (gpu,)
    assert found.notes[0].startswith("the CUDA context could not be measured: ")
    assert largest_context_mib(found) == ASSUMED_MIB
    assert largest_context_mib(replace(found, gpus=(replace(gpu, context_mib=433.0),))) == 433.0
    assert with_contexts(Inventory(cpus=1, memory_mib=1)).notes == ()


def test_the_first_visible_gpu_is_the_one_that_is_asked():
    rows = "0, GPU-aa, 100\n1, GPU-bb, 200\n"
    assert first_visible(rows, None) == ("GPU-aa", 100.0)
    assert first_visible(rows, "1,0") == ("GPU-bb", 200.0)
    assert first_visible(rows, "GPU-b") == ("GPU-bb", 200.0)
    with pytest.raises(RuntimeError, match="no GPU is visible"):
        first_visible(rows, "")
