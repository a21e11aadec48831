"""The Kuramoto coupling as a mean field against the sum over pairs: time and peak memory, forward + backward.

`python -m tests.benchmarks.mean_field --device cuda` measures the GPU; it needs PyTorch and pydantic only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from trainables.architectures.kuramoto.mixer import coupling_sum, num_coupled, pairwise_coupling

LENGTHS = (128, 512, 2048)
SHAPE = {"cpu": (1, 4, 16), "cuda": (8, 12, 32)}
"""Batch, heads, oscillators of a head."""
REPEATS = 5


def _mean_field(phase_BHNT: Tensor) -> Tensor:
    return coupling_sum(phase_BHNT, causal=True) / num_coupled(phase_BHNT, causal=True)


def _pairwise(phase_BHNT: Tensor) -> Tensor:
    return pairwise_coupling(phase_BHNT, causal=True)


METHODS: dict[str, Callable[[Tensor], Tensor]] = {"mean field": _mean_field, "pairs": _pairwise}


def _peak_mib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.exists():  # not ru_maxrss: it begins with the peak of the process that started this one
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    raise SystemExit("the CPU peak is read from Linux's accounting; run this benchmark on Linux")


def measure(method: str, device: str, length: int) -> dict[str, float]:
    """Measure one method in this process: best of `REPEATS` seconds, and the growth of the peak in MiB."""
    torch.set_num_threads(1)
    phase_BHNT = torch.rand(*SHAPE[device], length, device=device, requires_grad=True)
    warm = torch.rand(1, 1, 1, 16, device=device, requires_grad=True)
    METHODS[method](warm).square().sum().backward()
    before = _peak_mib(device)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        METHODS[method](phase_BHNT).square().sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        phase_BHNT.grad = None
    return {"seconds": min(seconds), "peak_mib": _peak_mib(device) - before}


def rows(device: str) -> list[str]:
    """Measure every method and length, each in a process of its own so that peaks do not mix."""
    table = []
    for length in LENGTHS:
        found = {}
        for method in METHODS:
            command = [sys.executable, "-m", "tests.benchmarks.mean_field", "--device", device, "--one", method]
            done = subprocess.run([*command, "--length", str(length)], capture_output=True, text=True, check=False)
            found[method] = json.loads(done.stdout) if done.returncode == 0 else None
        fast, slow = found["mean field"], found["pairs"]
        if fast is None:
            raise SystemExit(f"the mean field failed at T = {length}")
        cells = [f"{length}", f"{fast['seconds'] * 1e3:.2f} ms", f"{fast['peak_mib']:.0f} MiB"]
        if slow is None:
            cells += ["out of memory", "–", "–", "–"]
        else:
            memory = f"{slow['peak_mib'] / fast['peak_mib']:.0f}×" if fast["peak_mib"] >= 1 else "–"
            cells += [f"{slow['seconds'] * 1e3:.1f} ms", f"{slow['peak_mib']:.0f} MiB"]
            cells += [f"{slow['seconds'] / fast['seconds']:.0f}×", memory]
        table.append("| " + " | ".join(cells) + " |")
    return table


def report(device: str) -> str:
    """Return the benchmark as Markdown."""
    batch, heads, oscillators = SHAPE[device]
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU, 1 thread"
    head = [
        f"**Kuramoto coupling, causal, one step, forward + backward** (B {batch}, H {heads}, N {oscillators}, "
        f"float32, {where}, torch {torch.__version__}; best of {REPEATS})",
        "",
        "| T | mean field | peak | pairs | peak | time ratio | memory ratio |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*head, *rows(device)])


def main() -> None:
    """Print the table, or one measurement as JSON for the process that asks for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=sorted(SHAPE), default="cpu")
    parser.add_argument("--one", choices=sorted(METHODS))
    parser.add_argument("--length", type=int, default=512)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.device, arguments.length)))
    else:
        print(report(arguments.device))


if __name__ == "__main__":
    main()
