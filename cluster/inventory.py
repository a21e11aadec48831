"""What the machine, or a Ray cluster, offers: the cores, memory and GPUs that this process may actually use."""

from __future__ import annotations

import csv
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from trainables.units import MIB

_UNLIMITED_BYTES = 2**60  # cgroup v1 writes a number near 2**63 for "no limit"
ACCELERATOR_PREFIX = "accelerator_type:"
"""Prefix of the resource by which Ray marks the nodes that have a kind of GPU."""

_NVIDIA_SMI_SECONDS = 20

_GPUS = re.compile(r"(?P<count>\d+)x(?P<size>\d+(\.\d+)?)GiB", re.IGNORECASE)
_CPUS_PER_GPU = 64
_MIB_PER_GPU = 256 * 1024
"""Memory per GPU of hypothetical nodes: enough that the GPUs are the limit."""


@dataclass(frozen=True, kw_only=True)
class GpuGroup:
    """Identical accelerators of one node."""

    kind: str
    """Product name, such as `NVIDIA H100 80GB HBM3`."""
    memory_mib: int | None
    """Memory of one GPU; None if a cluster does not say."""
    free_mib: int | None
    """Free memory of the fullest of them when queried; None if a cluster does not say."""
    count: int
    context_mib: float | None = None
    """Memory of a CUDA context on it; None if that was not measured."""


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What is available to trials, on one node or summed over the nodes of a cluster."""

    cpus: int
    """Whole cores that this process may use."""
    memory_mib: int
    """Memory that is free, within the limit of the process's control group."""
    gpus: tuple[GpuGroup, ...] = ()
    nodes: tuple[Inventory, ...] = ()
    """The nodes of a cluster; empty for one node."""
    notes: tuple[str, ...] = ()
    """What could not be determined, for `doctor`."""

    def offered_mib(self, *, on_gpus: bool) -> int:
        """Return the free memory of all nodes, or of all their GPUs; 0 if a cluster does not say."""
        if not on_gpus:
            return self.memory_mib
        return sum(gpu.count * (gpu.free_mib or 0) for gpu in self.gpus)

    @property
    def machines(self) -> tuple[Inventory, ...]:
        """Every node by itself: one worker must fit on one node."""
        return self.nodes or (self,)


def local_inventory(root: Path = Path("/")) -> Inventory:
    """Return what this node offers to this process.

    Cores: the smaller of the scheduler's affinity and the CPU quota of the control group; a container
    with 2 of 64 cores has 2. Memory: what is free, within the limit of the control group.

    Args:
        root: Where `proc/` and `sys/` are; tests pass another folder.
    """
    cpus: float = len(os.sched_getaffinity(0))
    free_bytes = psutil.virtual_memory().available
    for limits in _control_groups(root):
        cpus = min(cpus, limits.cpu_quota)
        free_bytes = min(free_bytes, max(0, limits.free_bytes))
    gpus, notes = _local_gpus()
    return Inventory(cpus=max(1, math.floor(cpus)), memory_mib=int(free_bytes // MIB), gpus=gpus, notes=notes)


def hypothetical_inventory(text: str) -> Inventory:
    """Return hypothetical nodes with GPUs, to plan for; each kind of GPU is on a separate node.

    Args:
        text: GPUs as `4x94.5GiB,2x24GiB`: how many, and how much memory is free on each.

    Raises:
        ValueError: If it is not of that form.
    """
    machines = []
    for part in text.split(","):
        match = _GPUS.fullmatch(part.strip())
        if match is None or int(match["count"]) < 1 or float(match["size"]) <= 0:
            raise ValueError(f"'{part.strip()}' says no GPUs; write them as 4x94.5GiB,2x24GiB")
        count, memory_mib = int(match["count"]), int(float(match["size"]) * 1024)
        kind = f"{float(match['size']):g} GiB"
        gpu = GpuGroup(kind=kind, memory_mib=memory_mib, free_mib=memory_mib, count=count)
        machine = Inventory(cpus=_CPUS_PER_GPU * count, memory_mib=_MIB_PER_GPU * count, gpus=(gpu,))
        machines.append(machine)
    return _sum_of(machines)


def cluster_inventory(nodes: Iterable[tuple[Mapping[str, float], Sequence[GpuGroup]]]) -> Inventory:
    """Return what a connected Ray cluster offers.

    Args:
        nodes: For each living node its resources, as Ray lists them (`CPU`, `GPU`, `memory` in bytes,
            `accelerator_type:<kind>`), and the GPUs that it detected itself: Ray does not know their memory.
    """
    return _sum_of([_node_inventory(resources, gpus) for resources, gpus in nodes])


def _sum_of(machines: Sequence[Inventory]) -> Inventory:
    return Inventory(
        cpus=sum(machine.cpus for machine in machines),
        memory_mib=sum(machine.memory_mib for machine in machines),
        gpus=tuple(gpu for machine in machines for gpu in machine.gpus),
        nodes=tuple(machines),
    )


def _node_inventory(resources: Mapping[str, float], gpus: Sequence[GpuGroup]) -> Inventory:
    kinds = [name.removeprefix(ACCELERATOR_PREFIX) for name in resources if name.startswith(ACCELERATOR_PREFIX)]
    count = int(resources.get("GPU", 0))
    kind = kinds[0] if kinds else "unknown"
    # Named as Ray names the kind, which pins a trial to it. If a node mixes kinds, the smallest stands for all.
    smallest = min(gpus, key=lambda gpu: gpu.free_mib or 0, default=None)
    known = smallest or GpuGroup(kind=kind, memory_mib=None, free_mib=None, count=count)
    return Inventory(
        cpus=int(resources.get("CPU", 0)),
        memory_mib=int(resources.get("memory", 0) // MIB),
        gpus=(replace(known, kind=kind, count=count),) if count else (),
    )


@dataclass(frozen=True)
class _Limits:
    cpu_quota: float
    free_bytes: float


def _control_groups(root: Path) -> Iterator[_Limits]:
    """Yield the limits of this process's control group and its ancestors, version 1 or 2."""
    listing = root / "proc/self/cgroup"
    if not listing.is_file():
        return  # not Linux
    for line in listing.read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers == "":
            yield from (_limits_v2(folder) for folder in _ancestors(root / "sys/fs/cgroup", path))
        elif "cpu" in names:
            yield from (_limits_cpu_v1(folder) for folder in _ancestors(_mount(root, controllers), path))
        elif "memory" in names:
            yield from (_limits_memory_v1(folder) for folder in _ancestors(_mount(root, controllers), path))


def _mount(root: Path, controllers: str) -> Path:
    return root / "sys/fs/cgroup" / controllers


def _ancestors(mount: Path, path: str) -> Iterator[Path]:
    """Yield the existing folders from the group's up to the mount: in a container only the mount may exist."""
    folder = mount / path.lstrip("/")
    while True:
        if folder.is_dir():
            yield folder
        if folder == mount:
            return
        folder = folder.parent


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").split() if path.is_file() else []


def _number(path: Path) -> float:
    """Return the number in a control file; infinity if there is no file or it says `max`."""
    words = _words(path)
    return math.inf if not words or words[0] == "max" else float(words[0])


def _reclaimable(folder: Path) -> float:
    """Return the bytes of page cache the kernel would give back first."""
    words = _words(folder / "memory.stat")
    stat = dict(zip(words[::2], words[1::2], strict=True))
    return float(stat.get("total_inactive_file", stat.get("inactive_file", "0")))


def _limits_v2(folder: Path) -> _Limits:
    quota = _words(folder / "cpu.max")
    cpus = float(quota[0]) / float(quota[1]) if quota and quota[0] != "max" else math.inf
    limit = _number(folder / "memory.max")
    if math.isinf(limit):
        return _Limits(cpus, math.inf)
    return _Limits(cpus, limit - _number(folder / "memory.current") + _reclaimable(folder))


def _limits_cpu_v1(folder: Path) -> _Limits:
    quota = _number(folder / "cpu.cfs_quota_us")
    if quota <= 0 or math.isinf(quota):  # -1: no quota
        return _Limits(math.inf, math.inf)
    return _Limits(quota / _number(folder / "cpu.cfs_period_us"), math.inf)


def _limits_memory_v1(folder: Path) -> _Limits:
    limit = _number(folder / "memory.limit_in_bytes")
    if limit >= _UNLIMITED_BYTES:
        return _Limits(math.inf, math.inf)
    used = _number(folder / "memory.usage_in_bytes")
    return _Limits(math.inf, limit - used + _reclaimable(folder))


def _local_gpus() -> tuple[tuple[GpuGroup, ...], tuple[str, ...]]:
    """Return the visible NVIDIA GPUs and notes on what went wrong.

    Calls `nvidia-smi`, because CUDA would open a context of several hundred MiB in this process.
    """
    if shutil.which("nvidia-smi") is None:
        return (), ()
    try:
        rows = ask_nvidia_smi("index,uuid,name,memory.total,memory.free")
    except RuntimeError as error:
        return (), (str(error),)
    return parse_nvidia_smi(rows, visible=os.environ.get("CUDA_VISIBLE_DEVICES")), ()


def ask_nvidia_smi(query: str) -> str:
    """Return what `nvidia-smi` reports: a line per GPU with the fields of `query`; memory in MiB.

    Raises:
        RuntimeError: If it fails; the message has its first words.
    """
    command = [shutil.which("nvidia-smi") or "nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_NVIDIA_SMI_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"nvidia-smi did not answer: {error}") from error
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip().splitlines()
        raise RuntimeError(f"nvidia-smi failed: {said[0] if said else answer.returncode}")
    return answer.stdout


def parse_nvidia_smi(text: str, *, visible: str | None) -> tuple[GpuGroup, ...]:
    """Read the lines `index, uuid, name, total MiB, free MiB` of `nvidia-smi`.

    Args:
        text: What it printed.
        visible: `CUDA_VISIBLE_DEVICES`: indices or UUIDs (or their beginnings); None: every GPU.
    """
    wanted = None if visible is None else [item.strip() for item in visible.split(",") if item.strip()]
    free_by_kind: dict[tuple[str, int], list[int]] = {}
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        index, uuid, name, total, free = row
        if wanted is None or index in wanted or any(uuid.startswith(item) for item in wanted):
            free_by_kind.setdefault((name, int(total)), []).append(int(free))
    return tuple(_gpu_group(name, total, free) for (name, total), free in free_by_kind.items())


def _gpu_group(name: str, total: int, free: Sequence[int]) -> GpuGroup:
    return GpuGroup(kind=name, memory_mib=total, free_mib=min(free), count=len(free))
