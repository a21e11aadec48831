"""What the machine, or a Ray cluster, offers: cores, memory and cards that this process may really use."""

from __future__ import annotations

import csv
import math
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 2**20

_UNLIMITED_BYTES = 2**60  # cgroup v1 writes a number near 2**63 for "no limit"
_ACCELERATOR_PREFIX = "accelerator_type:"
_NVIDIA_SMI_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Card:
    """Equal accelerators of one machine."""

    kind: str
    """Product name, as `NVIDIA H100 80GB HBM3`."""
    memory_mib: int | None
    """Memory of one card; None where a cluster does not say."""
    free_mib: int | None
    """Free memory of the fullest of them when asked; None where a cluster does not say."""
    count: int


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What can be given to trials, of one machine or summed over the machines of a cluster."""

    cpus: int
    """Whole cores this process may use."""
    memory_mib: int
    """Memory that is free, within the limit of the process's control group."""
    gpus: tuple[Card, ...] = ()
    nodes: tuple[Inventory, ...] = ()
    """The machines of a cluster; empty for one machine."""
    notes: tuple[str, ...] = ()
    """What could not be found out, for `doctor`."""

    @property
    def machines(self) -> tuple[Inventory, ...]:
        """Every machine by itself: a trial must fit into one."""
        return self.nodes or (self,)


def local_inventory(root: Path = Path("/")) -> Inventory:
    """Return what this machine offers to this process.

    Cores: the smaller of the scheduler's affinity and the CPU quota of the control group; a container
    with 2 of 64 cores has 2. Memory: what is free, within the limit of the control group.

    Args:
        root: Where `proc/` and `sys/` are; a test's own folder.
    """
    cpus: float = len(os.sched_getaffinity(0))
    free_bytes = psutil.virtual_memory().available
    for limits in _control_groups(root):
        cpus = min(cpus, limits.cpu_quota)
        free_bytes = min(free_bytes, max(0, limits.free_bytes))
    gpus, notes = _local_gpus()
    return Inventory(cpus=max(1, math.floor(cpus)), memory_mib=int(free_bytes // MIB), gpus=gpus, notes=notes)


def cluster_inventory(nodes: Iterable[Mapping[str, float]]) -> Inventory:
    """Return what a connected Ray cluster offers.

    Args:
        nodes: The resources of each living node, as Ray lists them: `CPU`, `GPU`, `memory` in bytes,
            `accelerator_type:<kind>`. Ray does not say how much memory a card has.
    """
    machines = tuple(_node_inventory(node) for node in nodes)
    return Inventory(
        cpus=sum(machine.cpus for machine in machines),
        memory_mib=sum(machine.memory_mib for machine in machines),
        gpus=tuple(card for machine in machines for card in machine.gpus),
        nodes=machines,
    )


def _node_inventory(resources: Mapping[str, float]) -> Inventory:
    kinds = [name.removeprefix(_ACCELERATOR_PREFIX) for name in resources if name.startswith(_ACCELERATOR_PREFIX)]
    count = int(resources.get("GPU", 0))
    kind = kinds[0] if kinds else "unknown"
    return Inventory(
        cpus=int(resources.get("CPU", 0)),
        memory_mib=int(resources.get("memory", 0) // MIB),
        gpus=(Card(kind=kind, memory_mib=None, free_mib=None, count=count),) if count else (),
    )


@dataclass(frozen=True)
class _Limits:
    cpu_quota: float
    free_bytes: float


def _control_groups(root: Path) -> Iterator[_Limits]:
    """Yield the limits of this process's control group and its ancestors, version 1 or 2."""
    listing = root / "proc/self/cgroup"
    if not listing.is_file():
        return  # no Linux
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
    """Yield the group's folder and those above it that exist: inside a container only the mount may."""
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


def _local_gpus() -> tuple[tuple[Card, ...], tuple[str, ...]]:
    """Return the visible NVIDIA cards and notes on what went wrong.

    Asks `nvidia-smi`: asking CUDA would open a context of several hundred MiB in this process.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return (), ()
    query = "index,uuid,name,memory.total,memory.free"
    command = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_NVIDIA_SMI_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), (f"nvidia-smi did not answer: {error}",)
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip().splitlines()
        return (), (f"nvidia-smi failed: {said[0] if said else answer.returncode}",)
    return parse_nvidia_smi(answer.stdout, visible=os.environ.get("CUDA_VISIBLE_DEVICES")), ()


def parse_nvidia_smi(text: str, *, visible: str | None) -> tuple[Card, ...]:
    """Read the lines `index, uuid, name, total MiB, free MiB` of `nvidia-smi`.

    Args:
        text: What it printed.
        visible: `CUDA_VISIBLE_DEVICES`: indices or UUIDs (or their beginnings); None: every card.
    """
    wanted = None if visible is None else [item.strip() for item in visible.split(",") if item.strip()]
    free_by_card: dict[tuple[str, int], list[int]] = {}
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        index, uuid, name, total, free = row
        if wanted is None or index in wanted or any(uuid.startswith(item) for item in wanted):
            free_by_card.setdefault((name, int(total)), []).append(int(free))
    return tuple(_card(name, total, free) for (name, total), free in free_by_card.items())


def _card(name: str, total: int, free: Sequence[int]) -> Card:
    return Card(kind=name, memory_mib=total, free_mib=min(free), count=len(free))
