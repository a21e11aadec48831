"""The peak memory of a trial, in a process that has run other trials before it."""

from __future__ import annotations

import resource
from pathlib import Path

import torch

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Measures the peak since its creation.

    On a GPU, the bytes that the allocator reserved, and the context. On Linux CPUs, the peak resident set, reset
    through `/proc/self/clear_refs`; if the kernel forbids that, the peak of the process's whole life.

    Args:
        device: `cpu` or `cuda`.
        context_mib: What the CUDA context takes, which the allocator does not count.
    """

    def __init__(self, device: str, context_mib: float = 0.0) -> None:
        self.device, self.context_mib = device, context_mib
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.method = "cuda allocator, reserved, and the context"
            return
        try:
            _CLEAR_REFS.write_text("5", encoding="ascii")  # 5: reset VmHWM, see proc(5)
            self.method = "resident set since start of the trial"
        except OSError:
            self.method = "resident set of the process's life"

    @property
    def is_of_trial(self) -> bool:
        """Whether the memory of earlier trials of the process is excluded."""
        return not self.method.endswith("process's life")

    def mib(self) -> float:
        """Return the peak so far in MiB."""
        if self.device == "cuda":
            return torch.cuda.max_memory_reserved() / 2**20 + self.context_mib
        if self.is_of_trial:
            for line in _STATUS.read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
