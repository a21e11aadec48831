"""How long verbs and mistakes take as whole processes, beside a Python that imports PyTorch and does nothing.

CPU time, user and system, is the median that is least disturbed by whatever else the machine does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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
MISTAKES: tuple[tuple[str, ...], ...] = (
    ("pln", "quickstart"),
    ("run", "quickstart", "--max-hour", "1"),
    ("run", "quickstart", "--max-hours", "-1"),
    ("plan", "quickstrt"),
    ("plan", "nowhere.yaml"),
    ("plan", "broken.yaml"),
    ("plan", "quickstart", "--scale", "laptp"),
    ("plan", "quickstart", "--set", "budgt.steps=3"),
    ("plan", "quickstart", "--set", "budget.step=3"),
    ("plan", "quickstart", "--set", "optimizer.learning_rate=fast"),
    ("run", "quickstart", "--set", "resources.workers=0"),
    ("estimate", "quickstart", "--set", "seeds=0"),
    ("plan", "quickstart", "--set", "arms.transfomer.budget.steps=3"),
    ("plan", "quickstart", "--gpus", "many"),
    ("plan", "quickstart", "--set", "architecture.d_modl=3"),
    ("plan", "quickstart", "--set", "task.corpus=file:nowhere.txt"),
    ("plan", "quickstart", "--set", "task.tokenizer=hf:./nowhere"),
    ("plan", "quickstart", "--set", "budget.steps=1000000000000"),
    ("plan", "quickstart", "--set", "architecture.d_model=131072"),
    ("plan", "quickstart", "--set", "resources.cpus_per_trial=4096"),
    ("estimate", "quickstart", "--arm", "kuramotto"),
    ("check", "nowhere.py"),
)
"""What users get wrong: every kind is found before PyTorch is imported."""


class Cost(NamedTuple):
    """What a process takes."""

    seconds: float
    cpu_seconds: float


def cost_of(command: Sequence[str], folder: Path, exit_code: int = 0) -> Cost:
    """Return the median times of a command over `REPEATS` runs, after one that is not counted."""
    taken = []
    for _ in range(REPEATS + 1):
        started, before = time.monotonic(), os.times()
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=600, text=True)
        if done.returncode != exit_code:
            raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}")
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        taken.append(Cost(time.monotonic() - started, cpu))
    return Cost(*map(statistics.median, zip(*taken[1:], strict=True)))


def report() -> str:
    """Run a sweep at smoke scale, then every verb on it; return a Markdown table."""
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    ours = [sys.executable, "-m", "sweeps"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([*ours, "run", *STUDY], cwd=folder, check=True, capture_output=True)
        (folder / "broken.yaml").write_text("format_version: 1\nstudy: [\n", encoding="utf-8")
        torch = cost_of([sys.executable, "-c", "import torch"], folder)
        lines = [
            f"**Verbs and mistakes** (median of {REPEATS} whole processes; `import torch` alone takes "
            f"{torch.seconds:.2f} s, {torch.cpu_seconds:.2f} s of CPU)",
            "",
            "| command | exit code | seconds | CPU seconds | in units of `import torch` |",
            "|---|---:|---:|---:|---:|",
        ]
        commands = [*((verb, 0) for verb in (*READING, *PLANNING)), *((wrong, 2) for wrong in MISTAKES)]
        for verb, exit_code in commands:
            cost = cost_of([*ours, *verb], folder, exit_code)
            lines.append(
                f"| `{' '.join(verb)}` | {exit_code} | {cost.seconds:.2f} | {cost.cpu_seconds:.2f} | "
                f"{cost.cpu_seconds / torch.cpu_seconds:.2f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
