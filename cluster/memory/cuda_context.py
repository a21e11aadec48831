"""GPU memory of a CUDA context and its libraries before any tensor; measured wherever there is a GPU.

It differs by driver, kind of GPU and PyTorch version, by several hundred MiB; a memory limit that neglects it is
too generous by as much for every trial on the GPU.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from cluster.inventory import Inventory, ask_nvidia_smi
from trainables.units import MIB

ASSUMED_MIB = 600.0
"""For hypothetical GPUs, and those that could not be measured."""

_MEASURE_SECONDS = 120


def largest_context_mib(inventory: Inventory) -> float:
    """Return the largest context of the GPUs in `inventory`, in MiB; the assumed one if none was measured."""
    return max((gpu.context_mib for gpu in inventory.gpus if gpu.context_mib is not None), default=ASSUMED_MIB)


def with_contexts(inventory: Inventory) -> Inventory:
    """Return this node's inventory with the context measured on its first visible GPU, if it has any.

    A separate process opens the context and ends; that takes some seconds.
    """
    if not inventory.gpus:
        return inventory
    command = [sys.executable, "-m", "cluster.memory.cuda_context"]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_MEASURE_SECONDS, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return replace(inventory, notes=(*inventory.notes, "opening a CUDA context took too long to be measured"))
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        note = f"the CUDA context could not be measured: {said[-1] if said else done.returncode}"
        return replace(inventory, notes=(*inventory.notes, note))
    context_mib = float(done.stdout.splitlines()[-1])
    return replace(inventory, gpus=tuple(replace(gpu, context_mib=context_mib) for gpu in inventory.gpus))


def measure() -> float:
    """Open a context on the first visible GPU of this process; return the MiB that it took, without tensors.

    Memory that other programs take or free on the GPU at the same time is included.

    Raises:
        RuntimeError: If CUDA cannot be initialised on it.
    """
    rows = ask_nvidia_smi("index,uuid,memory.free")
    uuid, before_mib = first_visible(rows, os.environ.get("CUDA_VISIBLE_DEVICES"))
    os.environ["CUDA_VISIBLE_DEVICES"] = uuid
    import torch  # only in the measuring process, and after CUDA_VISIBLE_DEVICES is set

    matrix = torch.ones(64, 64, device="cuda")
    (matrix @ matrix).sum().item()  # cuBLAS and the kernels' modules are loaded on first use
    torch.cuda.synchronize()
    return before_mib - (torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()) / MIB


def first_visible(rows: str, visible: str | None) -> tuple[str, float]:
    """Return UUID and free MiB of the first visible GPU in the lines `index, uuid, free MiB` of `nvidia-smi`.

    Raises:
        RuntimeError: If none is visible.
    """
    wanted = None if visible is None else visible.split(",")[0].strip()
    for index, uuid, free in csv.reader(rows.splitlines(), skipinitialspace=True):
        if wanted is None or index == wanted or (wanted and uuid.startswith(wanted)):
            return uuid, float(free)
    raise RuntimeError(f"no GPU is visible (CUDA_VISIBLE_DEVICES={visible})")


if __name__ == "__main__":
    sys.stdout.write(f"{measure():.1f}\n")
