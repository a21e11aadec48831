"""How far the estimate of a trial's memory is from what a process really grows by, evaluation and probes included.

Each trial runs through the real Trainer in a fresh process, with the allocator settings of a worker. Measured is
the peak of the resident set during the trial, less the resident set before it, after a tiny trial has made the
process import what a trial imports.
"""

from __future__ import annotations

import gc
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.memory.estimate import estimate
from cluster.memory.task_data import held_out_sequences, task_mib
from trainables.config.trial import TrialConfig
from trainables.tasks.base.task import Task
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics
from trainables.units import MIB
from trainables.worker.memory_limit import return_free_memory
from trainables.worker.peak_memory import PeakMemory

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(MIB), "MALLOC_TRIM_THRESHOLD_": str(128 * MIB)}
STEPS = 2
"""The optimiser makes its state in the first, so the second has all there is."""

_WINDOWS = 12
"""Validation windows of most trials: few, so that a trial takes seconds."""

CONTROL = {"name": "transformer"}
KURAMOTO = {"name": "kuramoto", "fidelity": "corrected"}
PUBLISHED = {"name": "kuramoto", "fidelity": "as_published"}
POOL = {"name": "mean_pool"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A trial to measure."""

    architecture: dict[str, Any]
    width: int
    depth: int
    batch: int
    length: int
    micro: int | None = None
    windows: int = _WINDOWS
    optimizer: str = "adamw"
    precision: str = "float32"

    def __str__(self) -> str:
        return " ".join(str(self.architecture[key]) for key in ("name", "fidelity") if key in self.architecture)

    def config(self, **sizes: int) -> TrialConfig:
        """Return the configuration; `sizes` replaces fields of the case."""
        case = Case(**{**vars(self), **sizes})
        split = 2 * (case.windows * case.length + 2)  # a half of the text is for validation
        return TrialConfig.model_validate(
            {
                "architecture": {"d_model": case.width, "num_layers": case.depth, **case.architecture},
                "task": {
                    "name": "language",
                    "tokenizer": "byte",
                    "context_length": case.length,
                    "max_bytes": split,
                    "val_fraction": 0.5,
                },
                "optimizer": {"name": case.optimizer},
                "budget": {
                    "steps": STEPS,
                    "batch_size": case.batch,
                    "report_every": STEPS,
                    "precision": case.precision,
                },
            }
        )


CASES = (
    # parameters and the optimiser's state
    Case(architecture=CONTROL, width=1024, depth=8, batch=1, length=16, windows=4),
    Case(architecture=CONTROL, width=1536, depth=6, batch=1, length=16, windows=4, optimizer="adamw_8bit"),
    Case(architecture=KURAMOTO, width=1024, depth=9, batch=2, length=16, windows=4),
    Case(architecture=POOL, width=1280, depth=6, batch=2, length=16, micro=1, windows=4),
    # activations of a training step
    Case(architecture=CONTROL, width=64, depth=4, batch=304, length=256),
    Case(architecture=CONTROL, width=96, depth=12, batch=160, length=128),
    Case(architecture=CONTROL, width=128, depth=3, batch=248, length=256, optimizer="adamw_8bit"),
    Case(architecture=CONTROL, width=64, depth=6, batch=400, length=256, precision="bfloat16"),
    Case(architecture=CONTROL, width=64, depth=8, batch=680, length=128, micro=340),
    Case(architecture={**CONTROL, "dropout": 0.1}, width=64, depth=4, batch=92, length=256),
    Case(architecture={**CONTROL, "checkpoint_blocks": True}, width=64, depth=8, batch=800, length=256),
    Case(architecture=KURAMOTO, width=64, depth=4, batch=120, length=256),
    Case(architecture={**KURAMOTO, "checkpoint_blocks": True}, width=64, depth=4, batch=176, length=256),
    Case(architecture={**KURAMOTO, "phase_layers": [0, 1]}, width=64, depth=2, batch=88, length=256),
    Case(architecture={**KURAMOTO, "num_oscillators": 64}, width=64, depth=2, batch=40, length=512, windows=6),
    Case(architecture=KURAMOTO, width=64, depth=4, batch=320, length=128, precision="bfloat16"),
    Case(architecture={**KURAMOTO, "phase_noise": 0.1}, width=64, depth=3, batch=512, length=128, micro=256),
    Case(architecture=PUBLISHED, width=64, depth=4, batch=160, length=256),
    Case(architecture=PUBLISHED, width=96, depth=5, batch=264, length=128, optimizer="adamw_8bit"),
    Case(architecture=PUBLISHED, width=64, depth=4, batch=216, length=256, precision="bfloat16"),
    Case(architecture=POOL, width=64, depth=8, batch=344, length=128),
    Case(architecture=POOL, width=64, depth=6, batch=400, length=256, precision="bfloat16"),
    Case(architecture={**POOL, "pool_width": 512}, width=64, depth=4, batch=512, length=256, micro=256),
    # evaluation and probes
    Case(architecture=CONTROL, width=288, depth=1, batch=2, length=2048, windows=128),
    Case(architecture=CONTROL, width=480, depth=1, batch=2, length=2048, windows=128, precision="bfloat16"),
    Case(architecture=KURAMOTO, width=288, depth=1, batch=2, length=2048, windows=128),
    Case(architecture=POOL, width=288, depth=1, batch=2, length=2048, windows=128),
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trial was said to need and what it took, in MiB beside the process's own."""

    case: Case
    stage: str
    base_mib: float
    predicted_mib: float
    measured_mib: float

    @property
    def error(self) -> float:
        """Of the prediction, as a fraction of what was measured; negative: too low."""
        return self.predicted_mib / self.measured_mib - 1


def _memory_of(config: TrialConfig, task: Task, micro: int | None) -> tuple[float, str]:
    found = estimate(
        config,
        vocab_size=task.vocab_size,
        context_length=task.context_length,
        micro_batch_size=micro,
        process_mib=0.0,
        held_out_sequences=held_out_sequences(task),
        task_mib=task_mib(task),
    )
    return found.total_mib, found.peak_stage


def measure_all(cases: Sequence[Case]) -> list[Outcome]:
    """Estimate cases here, and run each in a process of its own; all are forks of one that has imported all."""
    predicted = [_memory_of(config := case.config(), config.task.build(None), case.micro) for case in cases]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.memory_error", json.dumps([vars(case) for case in cases])],
        env={**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return [
        Outcome(case=case, stage=stage, base_mib=base, predicted_mib=mib, measured_mib=grown)
        for case, (mib, stage), (base, grown) in zip(cases, predicted, measured, strict=True)
    ]


def _train(config: TrialConfig, micro: int | None) -> None:
    task = config.task.build(None)
    for report in Trainer(config, 0, task, Numerics(micro_batch_size=micro)).reports():
        assert report.outcome in {None, "finished"}, report.reason


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def _warm_up(case: Case) -> None:
    """Run a tiny trial, so that the process has imported, and touched, what a trial needs."""
    _train(case.config(width=32, batch=2, length=16, windows=3), None)
    gc.collect()
    return_free_memory()  # as between the trials of a worker: or what a large backbone left counts as the process


def run_here(case: Case) -> tuple[float, float]:
    """Return the resident set before the trial and how much it grew at most, in MiB."""
    _warm_up(case)
    base = _resident_mib()
    peak = PeakMemory("cpu")
    _train(case.config(), case.micro)
    return base, peak.mib() - base


def _run_in_forks(cases: Sequence[Case]) -> None:
    """Print what `run_here` says of each case in a child, which inherits imports and nothing of other trials."""
    _warm_up(cases[0])
    for case in cases:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            print(json.dumps(run_here(case)), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise SystemExit(f"a trial failed: {case}")


def report(cases: tuple[Case, ...] = CASES) -> str:
    """Return the benchmark as Markdown."""
    outcomes = measure_all(cases)
    rows = [
        f"| {o.case} | {o.case.width} | {o.case.depth} | {o.case.batch}/{o.case.micro or o.case.batch} | "
        f"{o.case.length} | {o.case.optimizer} | {o.case.precision} | {o.stage} | {o.base_mib:.0f} | "
        f"{o.predicted_mib:.0f} | {o.measured_mib:.0f} | {o.error:+.1%} |"
        for o in outcomes
    ]
    errors = sorted(abs(o.error) for o in outcomes)
    p95 = statistics.quantiles(errors, n=20, method="inclusive")[-1]
    worst_low, worst_high = min(o.error for o in outcomes), max(o.error for o in outcomes)
    smallest = min((o.base_mib + o.measured_mib) / o.base_mib for o in outcomes)
    return "\n".join(
        [
            f"**Error of the memory estimate** ({len(outcomes)} trials of {STEPS} steps, each in a fresh process; "
            "MiB beside the process's own, evaluation and probes included)",
            "",
            "| architecture | width | depth | batch/micro | length | optimiser | precision | peak in | base | "
            "predicted | measured | error |",
            "|---|---:|---:|---:|---:|---|---|---|---:|---:|---:|---:|",
            *rows,
            "",
            f"Absolute error: median {statistics.median(errors):.1%}, 95th percentile {p95:.1%}; lowest "
            f"{worst_low:+.1%}, highest {worst_high:+.1%}. The peaks are at least {smallest:.1f} × the process.",
        ]
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _run_in_forks([Case(**fields) for fields in json.loads(sys.argv[1])])
    else:
        print(report())
