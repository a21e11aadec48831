"""The peak memory of a trial, in a process that has run other trials before it."""

from __future__ import annotations

import resource
from pathlib import Path

import torch

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Measures the peak since it was made.

    On a GPU, bytes the allocator reserved. On Linux CPUs, the peak resident set, reset through
    `/proc/self/clear_refs`; where the kernel forbids that, the peak of the process's whole life.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.method = "cuda allocator, reserved"
            return
        try:
            _CLEAR_REFS.write_text("5", encoding="ascii")  # 5: reset VmHWM, see proc(5)
            self.method = "resident set since start of the trial"
        except OSError:
            self.method = "resident set of the process's life"

    def mib(self) -> float:
        """Return the peak so far in MiB."""
        if self.device == "cuda":
            return torch.cuda.max_memory_reserved() / 2**20
        if self.method.startswith("resident set since"):
            for line in _STATUS.read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
