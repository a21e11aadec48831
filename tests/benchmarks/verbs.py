"""How long verbs take as whole processes, beside a Python that imports PyTorch and does nothing."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REPEATS = 5
STUDY = ("quickstart", "--scale", "smoke")
READING: tuple[tuple[str, ...], ...] = (
    ("--help",),
    ("studies",),
    ("claims",),
    ("status", *STUDY),
    ("results", *STUDY),
    ("logs", *STUDY),
    ("export", *STUDY, "--to", "all.csv", "--force"),
)
"""Verbs that read import nothing that trains."""
PLANNING = (("plan", "quickstart"),)


def seconds_of(command: Sequence[str], folder: Path) -> float:
    """Return the median wall time of a command over `REPEATS` runs, after one that is not counted."""
    taken = []
    for _ in range(REPEATS + 1):
        started = time.monotonic()
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=600)
        taken.append(time.monotonic() - started)
    return statistics.median(taken[1:])


def report() -> str:
    """Run a sweep at smoke scale, then every verb on it; return a Markdown table."""
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    ours = [sys.executable, "-m", "sweeps"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([*ours, "run", *STUDY], cwd=folder, check=True, capture_output=True)
        torch_seconds = seconds_of([sys.executable, "-c", "import torch"], folder)
        lines = [
            f"**Verbs** (median of {REPEATS} whole processes; `import torch` alone takes {torch_seconds:.2f} s)",
            "",
            "| verb | seconds | in units of `import torch` |",
            "|---|---:|---:|",
        ]
        for verb in (*READING, *PLANNING):
            seconds = seconds_of([*ours, *verb], folder)
            lines.append(f"| `{' '.join(verb)}` | {seconds:.2f} | {seconds / torch_seconds:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
