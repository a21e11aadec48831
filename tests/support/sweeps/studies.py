"""A study for integration tests, and the installed command as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PHASESWEEP = [str(Path(sys.executable).with_name("phasesweep"))]

MEASURING = re.compile(r"(measuring the memory of \d+ configurations?…\n)?")
"""What a verb that plans says on standard error: nothing if an earlier process has measured."""

STUDY = """\
format_version: 1
study: tiny
title: Two arms for tests
seeds: {seeds}
base:
  architecture: {{d_model: 16, num_layers: 1, num_heads: 2}}
  task: {{name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}}
  optimizer: {{learning_rate: 3e-3, warmup_steps: 3}}
  budget: {{steps: {steps}, batch_size: 4, report_every: {report_every}, eval_sequences: 8}}
arms:
  transformer: {{role: baseline, architecture: {{name: transformer}}}}
  kuramoto: {{architecture: {{name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}}}}
scales:
  smoke: {{}}
  laptop: {{}}
"""


def write_study(folder: Path, *, seeds: int = 2, steps: int = 20, report_every: int = 10) -> Path:
    """Write the study `tiny` and return its path."""
    path = folder / "tiny.yaml"
    path.write_text(STUDY.format(seeds=seeds, steps=steps, report_every=report_every), encoding="utf-8")
    return path


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """Return the environment of a user who keeps results in `folder`/results."""
    unset = {"MLFLOW_TRACKING_URI", "RAY_ADDRESS", "PHASESWEEP_DATA"}
    kept = {key: value for key, value in os.environ.items() if key not in unset}
    return {**kept, "PHASESWEEP_RESULTS": str(folder / "results"), **extra}


@contextmanager
def two_cores() -> Iterator[None]:
    """Keep the commands started here to two cores, so that tests see two slots on every machine."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(arguments: list[str], folder: Path, **extra: str) -> subprocess.Popen[str]:
    """Start the installed command in a process group of its own."""
    with two_cores():
        return subprocess.Popen(
            [*PHASESWEEP, *arguments],
            cwd=folder,
            env=environment(folder, **extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def phasesweep(arguments: list[str], folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end."""
    process = start(arguments, folder, **extra)
    try:
        out, err = process.communicate()
    finally:
        if process.poll() is None:  # the test was given up
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def journal_events(results: Path) -> list[dict[str, Any]]:
    """Return all complete events under a results folder."""
    events = []
    for path in sorted(results.rglob("journal/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith("}"):
                events.append(json.loads(line))
    return events
