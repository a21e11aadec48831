"""Trials in processes of their own that go on step by step, so that a test decides what runs beside what."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trainables.worker.assignment import Assignment
from trainables.worker.memory_limit import ALLOCATOR_ENVIRONMENT

WORKER = """
import json, resource, sys
from trainables.worker.assignment import Assignment
from trainables.worker.attempt import Attempt

resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
trial = Attempt(Assignment.from_json(sys.stdin.readline()))
for event in trial.events():
    print(json.dumps(event), flush=True)
    sys.stdin.readline()
print(trial.recycle_reason())
"""

BACKSTOP_BYTES = 12 * 2**30
"""Address space of a process on a CPU: a cap that fails must not take the machine down."""


class TrialProcess:
    """A trial that goes on to its next event when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdin and process.stdout
        self._to, self._from = process.stdin, process.stdout

    def begin(self, given: Assignment) -> None:
        self._tell(given.to_json())

    def go_on(self) -> None:
        self._tell("")

    def _tell(self, line: str) -> None:
        self._to.write(f"{line}\n")
        self._to.flush()

    def event(self) -> dict[str, Any]:
        """Wait for the next event."""
        line = self._from.readline()
        assert line, f"the process died with {self._process.wait()}"
        event: dict[str, Any] = json.loads(line)
        return event

    def rest(self) -> list[dict[str, Any]]:
        """Let it go on to its last event; return the events on the way."""
        events: list[dict[str, Any]] = []
        while not events or not events[-1].get("outcome"):
            self.go_on()
            events.append(self.event())
        return events

    def end(self) -> str:
        """Let it end by itself; return why its process is spent."""
        self.go_on()
        why = self._from.readline().strip()
        assert self._process.wait() == 0
        return why


@contextmanager
def trial_process(device: str = "cpu") -> Iterator[TrialProcess]:
    """Start a worker in the environment that a session gives it; it is killed if the block fails."""
    backstop = BACKSTOP_BYTES if device == "cpu" else resource.RLIM_INFINITY  # CUDA reserves addresses without end
    command = [sys.executable, "-c", WORKER, str(backstop)]
    environment = {**os.environ, **ALLOCATOR_ENVIRONMENT}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        try:
            yield TrialProcess(process)
        finally:
            process.kill()


def computed(events: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the metrics of reports without the one that the clock decides."""
    return [{k: v for k, v in e["metrics"].items() if k != "train/tokens_per_second"} for e in events]
