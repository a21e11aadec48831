"""The phase scan against a Python recurrence and explicit T×T tensors: time and peak memory, forward + backward.

On a CPU it is measured as a replicate computes: with the C library's allocator set as in phasesweep's workers. What
that costs long sequences, a table of its own shows.

`python -m tests.benchmarks.phase_scan --device cuda` measures the GPU; it needs PyTorch, pydantic and psutil only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.benchmarks.mean_field import _peak_mib
from trainables.layers.decayed_sum import decayed_sum
from trainables.layers.phase_scan import Pair, phase_scan
from trainables.layers.phase_scan_reference import phase_scan_pairwise, phase_scan_recurrence
from trainables.units import MIB
from trainables.worker.memory_limit import ALLOCATOR_ENVIRONMENT

REPEATS = 3
WORKERS = "of the workers"
ALLOCATORS: dict[str, dict[str, str]] = {
    WORKERS: ALLOCATOR_ENVIRONMENT,
    "as it comes": {},
    "gives nothing back": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**20 * MIB)},
}
"""Environments of the C library's allocator. As it comes, it soon keeps what is freed in pieces of up to 32 MiB."""
SHORT, LONG = 4096, 16_384
"""Lengths between which the growth is taken."""
PVM_DECAY = 0.85
INDEXED_LIMIT = 512
"""Longest sequence for the loop over x[:, t]: its backward pass fills a whole tensor for every step."""
PAIRWISE_TENSORS = 13
"""T×T tensors that are alive at the peak of the pairwise form."""
BYTES_PER_FLOAT = 4


@dataclass(frozen=True)
class Case:
    """What is measured at which size."""

    problem: str
    method: str
    batch: int
    width: int
    length: int

    @property
    def pairwise_mib(self) -> float:
        """Return the size of all the T×T tensors, in MiB."""
        return PAIRWISE_TENSORS * self.batch * self.width * self.length**2 * BYTES_PER_FLOAT / 2**20

    def why_not(self, device: str) -> str:
        """Return why this is not measured; nothing where it is."""
        if self.method == "indexed" and self.length > INDEXED_LIMIT:
            return "quadratic"
        if self.method == "pairs" and self.pairwise_mib > _free_mib(device) / 2:
            return f"needs {self.pairwise_mib / 1024:,.0f} GiB"
        return ""


def _free_mib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.mem_get_info()[0] / 2**20
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20


def _tpi(function: Callable[..., Pair | tuple[Pair, object]]) -> Callable[..., Tensor]:
    """Return TPI's scan, normalised, with a decay for each token, as a function that gives one number."""

    def run(value: Tensor, phase: Tensor, magnitude: Tensor, decay: Tensor) -> Tensor:
        found = function(
            value,
            log_decay=decay,
            write_phase=phase,
            read_phase=phase,
            magnitude=magnitude,
            normalise="sum",
        )
        y = found if isinstance(found, Pair) else found[0]
        return y.re.sum() + y.im.sum()

    return run


def _tpi_indexed(value: Tensor, phase: Tensor, magnitude: Tensor, decay: Tensor) -> Tensor:
    re = im = weight = torch.zeros_like(value[:, 0])
    outputs = []
    for t in range(value.shape[1]):
        a, cos, sin, m = decay[:, t].exp(), phase[:, t].cos(), phase[:, t].sin(), magnitude[:, t]
        re = a * re + m * value[:, t] * cos
        im = a * im + m * value[:, t] * sin
        weight = a * weight + m
        outputs.append((re * cos + im * sin + im * cos - re * sin) / (weight + 1e-8))
    return torch.stack(outputs, dim=1).sum()


def _pvm_indexed(value: Tensor) -> Tensor:
    memory, memories = torch.zeros_like(value[:, 0]), []
    for t in range(value.shape[1]):
        memory = PVM_DECAY * memory + value[:, t]
        memories.append(memory)
    return torch.stack(memories, dim=1).square().sum()


def _pvm_scan(value: Tensor) -> Tensor:
    return decayed_sum(value, log_decay=math.log(PVM_DECAY))[0].square().sum()


def _pvm_loop(value: Tensor) -> Tensor:
    memory, memories = torch.zeros_like(value[:, 0]), []
    for value_BD in value.unbind(1):
        memory = PVM_DECAY * memory + value_BD
        memories.append(memory)
    return torch.stack(memories, dim=1).square().sum()


COLUMNS = {
    "scan": "scan",
    "recurrence": "loop over unbind",
    "indexed": "loop over x[:, t]",
    "pairs": "T×T",
}
METHODS: dict[tuple[str, str], Callable[..., Tensor]] = {
    ("tpi", "scan"): _tpi(phase_scan),
    ("tpi", "recurrence"): _tpi(phase_scan_recurrence),
    ("tpi", "indexed"): _tpi_indexed,
    ("tpi", "pairs"): _tpi(phase_scan_pairwise),
    ("pvm", "scan"): _pvm_scan,
    ("pvm", "recurrence"): _pvm_loop,
    ("pvm", "indexed"): _pvm_indexed,
}


def _inputs(case: Case, device: str) -> list[Tensor]:
    draw = torch.Generator(device).manual_seed(0)
    shape = (case.batch, case.length, case.width)
    tensors = [torch.randn(shape, device=device, generator=draw) for _ in range(4 if case.problem == "tpi" else 1)]
    tensors[2:] = [tensors[2].abs(), -0.1 * tensors[3].abs()] if case.problem == "tpi" else []
    return [tensor.requires_grad_() for tensor in tensors]


def measure(case: Case, device: str) -> dict[str, float]:
    """Measure in this process: best of `REPEATS` seconds, its page faults, and the growth of the peak in MiB."""
    torch.set_num_threads(1)
    run = METHODS[case.problem, case.method]
    run(*_inputs(Case(case.problem, case.method, 1, 2, 8), device)).backward()
    inputs = _inputs(case, device)
    before = _peak_mib(device)
    repeats = []
    for _ in range(REPEATS):
        start, faults = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        run(*inputs).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        repeats.append((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults))
        for tensor in inputs:
            tensor.grad = None
    seconds, faults = min(repeats)
    return {"seconds": seconds, "page_faults": faults, "peak_mib": _peak_mib(device) - before}


def _measured(case: Case, device: str, allocator: str = WORKERS) -> dict[str, float] | None:
    """Measure in a process of its own, so that peaks do not mix; None where that process does not survive."""
    size = f"{case.batch},{case.width},{case.length}"
    command = [sys.executable, "-m", "tests.benchmarks.phase_scan", "--device", device, "--size", size]
    command += ["--problem", case.problem, "--method", case.method]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    environment = {**inherited, **ALLOCATORS[allocator]}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return json.loads(done.stdout) if done.returncode == 0 else None


def _row(problem: str, methods: tuple[str, ...], batch: int, width: int, length: int, device: str) -> str:
    """Return a line of the table: every method's time, how many scans that is, and its peak."""
    cells = [f"{batch}", f"{width}", f"{length:,}"]
    scan_seconds = math.nan
    for method in methods:
        case = Case(problem, method, batch, width, length)
        obstacle = case.why_not(device)
        found = None if obstacle else _measured(case, device)
        if found is None:
            cells.append(obstacle or "failed")
            continue
        scan_seconds = found["seconds"] if method == "scan" else scan_seconds
        ratio = "" if method == "scan" else f" ({found['seconds'] / scan_seconds:.1f}×)"
        cells.append(f"{found['seconds'] * 1e3:,.1f} ms{ratio}, {found['peak_mib']:,.0f} MiB")
    return "| " + " | ".join(cells) + " |"


def _growth_lines() -> list[str]:
    """Return how time and page faults grow with the length, under each allocator on a CPU."""
    lines = []
    for allocator in ALLOCATORS:
        for method in ("scan", "recurrence"):
            short, long = (_measured(Case("tpi", method, 8, 128, n), "cpu", allocator) for n in (SHORT, LONG))
            if short is None or long is None:
                lines.append(f"| {allocator} | {COLUMNS[method]} | failed | | |")
                continue
            cells = [f"{one['seconds'] * 1e3:,.0f} ms, {one['page_faults']:,.0f}" for one in (short, long)]
            growth = f"{long['seconds'] / short['seconds']:.1f}×"
            lines.append("| " + " | ".join([allocator, COLUMNS[method], *cells, growth]) + " |")
    return lines


def _growth_table() -> list[str]:
    return [
        f"**What four times the length costs** (B 8, D 128; linear: {LONG / SHORT:.0f}×)",
        "",
        f"| C library's allocator | method | T {SHORT:,}: time, page faults | T {LONG:,} | growth of time |",
        "|---|---|---:|---:|---:|",
        *_growth_lines(),
        "",
    ]


def _state_lines(batch: int, width: int) -> list[str]:
    lines = []
    for length in (512, SHORT, LONG):
        x = torch.zeros(batch, length, width)
        pvm = decayed_sum(x, log_decay=math.log(PVM_DECAY))[1].num_bytes
        tpi = phase_scan(x, write_phase=x, read_phase=x, normalise="sum")[1].num_bytes
        cache = 2 * batch * length * width * BYTES_PER_FLOAT
        lines.append(f"| {length:,} | {pvm:,} | {tpi:,} | {cache:,} | {cache // pvm:,}× |")
    return lines


def report(device: str) -> str:
    """Return the benchmark as Markdown."""
    on_cpu = "CPU, 1 thread, the allocator of the workers"
    where = torch.cuda.get_device_name() if device == "cuda" else on_cpu
    setting = f"forward + backward, float32, {where}, torch {torch.__version__}; best of {REPEATS}"
    tpi = [_row("tpi", tuple(COLUMNS), 8, 128, length, device) for length in (128, 512, SHORT, LONG)]
    pvm = [
        _row("pvm", tuple(COLUMNS)[:3], batch, width, length, device)
        for batch, width in ((8, 128), (1, 64))
        for length in (512, SHORT)
    ]
    heads = ["B", "D", "T", *COLUMNS.values()]
    return "\n".join(
        [
            f"**Phase scan: write and read phase, magnitude, normaliser, a decay for each token** ({setting}; in",
            "brackets: how many times the scan's time)",
            "",
            "| " + " | ".join(heads) + " |",
            "|---:" * len(heads) + "|",
            *tpi,
            "",
            *([] if device == "cuda" else _growth_table()),
            f"**PVM memory: one constant decay** ({setting})",
            "",
            "| " + " | ".join(heads[:-1]) + " |",
            "|---:" * (len(heads) - 1) + "|",
            *pvm,
            "",
            "**State of one layer, bytes** (B 8, D 128, float32)",
            "",
            "| T | PVM | TPI, normalised | KV cache | cache / PVM |",
            "|---:|---:|---:|---:|---:|",
            *_state_lines(8, 128),
        ]
    )


def main() -> None:
    """Print the tables, or one measurement as JSON for the process that asks for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--problem", choices=("tpi", "pvm"))
    parser.add_argument("--method", choices=("scan", "recurrence", "indexed", "pairs"))
    parser.add_argument("--size", help="batch, width and length, as B,D,T")
    arguments = parser.parse_args()
    if arguments.problem:
        batch, width, length = map(int, arguments.size.split(","))
        case = Case(arguments.problem, arguments.method, batch, width, length)
        print(json.dumps(measure(case, arguments.device)))
    else:
        print(report(arguments.device))


if __name__ == "__main__":
    main()
