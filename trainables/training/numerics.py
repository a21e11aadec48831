"""What determines the bits of a result besides configuration and seed: device, threads, workers, code, versions."""

from __future__ import annotations

import os
import platform
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from trainables.code_hash import code_hash
from trainables.config.resources import Sharding


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """How a replicate computes. Equal numerics give equal bits; different ones agree only in distribution."""

    device: str = "cpu"
    """`cpu` or `cuda`."""
    threads: int = 1
    """CPU threads of one operation: the CPUs that one worker requested."""
    workers: int = 1
    """Processes that train the replicate together, each on an equal shard of every batch."""
    sharding: Sharding = "replicated"
    """How the workers hold the model: each a full replica, or each a shard."""
    micro_batch_size: int | None = None
    """Sequences in one forward pass; None: the whole batch, or a worker's shard of it."""
    deterministic: bool = True

    def apply(self) -> None:
        """Set this process up: threads and deterministic mode.

        Deterministic mode on CUDA also needs `CUBLAS_WORKSPACE_CONFIG=:4096:8` in the environment before
        CUDA starts; it is set here in case CUDA has not started yet.
        """
        torch.set_num_threads(self.threads)
        if self.deterministic and self.device == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        torch.backends.cudnn.benchmark = not self.deterministic

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """Return the context of a forward pass: bfloat16 autocast, or nothing for float32."""
        if precision == "bfloat16":
            return torch.autocast(self.device, dtype=torch.bfloat16)
        return nullcontext()

    def describe(self) -> dict[str, Any]:
        """Return everything that may change bits of a result, for the journal."""
        hardware = torch.cuda.get_device_name() if self.device == "cuda" else platform.machine()
        return {
            **asdict(self),
            "code": code_hash(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "hardware": hardware,
            "cpu": cpu_model(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the CPU's model, such as `AMD EPYC 7B13`: libraries choose their kernels by it.

    Args:
        cpuinfo: Linux's description of the CPU. Without one, or where it names no model, as on ARM, the processor
            or at least the instruction set is what Python knows, such as `arm` or `aarch64`.
    """
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    named = re.search(r"^model name\s*:[ \t]*(\S.*)$", text, flags=re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()
