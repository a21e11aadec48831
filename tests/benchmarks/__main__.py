"""`make bench`: every benchmark in one run, as Markdown."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch

from cluster.inventory import local_inventory
from tests.benchmarks import (
    attractor,
    driver_cost,
    generation,
    mean_field,
    one_process_each,
    packing,
    phase_scan,
    proposals,
    retrieval,
    trial_overhead,
    verbs,
)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Print where and what, then each benchmark."""
    found = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    commit = found.stdout.strip() or "unknown"
    here = local_inventory()
    print(f"{_processor()}, {here.cpus} CPUs, torch {torch.__version__}, commit {commit}\n", flush=True)
    reports = (
        verbs.report,
        one_process_each.report,
        trial_overhead.report,
        packing.report,
        driver_cost.report,
        lambda: mean_field.report("cpu"),
        lambda: phase_scan.report("cpu"),
        lambda: attractor.report("cpu"),
        lambda: generation.report("cpu"),
        retrieval.report,
        proposals.report,
    )
    for report in reports:
        print(report() + "\n", flush=True)


if __name__ == "__main__":
    main()
