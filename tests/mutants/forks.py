"""A process that has the heavy libraries loaded, and forks a child for every run of pytest.

Loading them takes longer than most of the tests. Nothing of the repository is loaded here, so that a child takes
all of that from the tree it is sent to, and nothing that has pytest plugins, which pytest wants to load itself.

Run as a script: it reads one JSON object a line, `{tree, arguments, environment, output, timeout_seconds}`, and
answers each with `{exit_code}`, which is null for a child that had to be killed.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

LIBRARIES = ("numpy", "scipy.special", "scipy.stats", "torch", "pydantic", "yaml", "psutil", "typer", "rich.table")
POLL_SECONDS = 0.02


def main() -> None:
    """Serve until standard input ends."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps({"exit_code": run(json.loads(line))}), flush=True)


def run(order: dict[str, Any]) -> int | None:
    """Fork a child that runs pytest; return its exit code, or None if it did not end in time."""
    child = os.fork()
    if child == 0:
        become_pytest(order)
    deadline = time.monotonic() + order["timeout_seconds"]
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def become_pytest(order: dict[str, Any]) -> NoReturn:
    """Run pytest in the tree that was named, as the leader of a group of processes, and end."""
    exit_code = 1
    try:
        os.setsid()
        with Path(order["output"]).open("w", encoding="utf-8") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.chdir(order["tree"])
        os.environ.update(order["environment"])
        sys.path.insert(0, order["tree"])
        import pytest

        exit_code = int(pytest.main(order["arguments"]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


if __name__ == "__main__":
    main()
