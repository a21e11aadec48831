"""Phase A at smoke scale: the installed command against a loop that starts one process for every replicate."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster.inventory import local_inventory
from tests.benchmarks.assignments import assignments_of, plan_of
from trainables.worker.assignment import Assignment
from trainables.worker.attempt import Attempt

STUDY = "kuramoto_phase_a"


def sweep_seconds() -> float:
    """Return the wall seconds of `phasesweep run`, start-up, MLflow and table included."""
    results = tempfile.mkdtemp(prefix="phasesweep-bench-")
    start = time.monotonic()
    subprocess.run(
        [str(Path(sys.executable).with_name("phasesweep")), "run", STUDY, "--scale", "smoke"],
        env={**os.environ, "PHASESWEEP_RESULTS": results},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - start


def loop_seconds() -> tuple[float, int]:
    """Return the wall seconds of a loop over processes, one a replicate, each with one thread."""
    assignments = assignments_of(plan_of(STUDY))
    start = time.monotonic()
    for assignment in assignments:
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.one_process_each", assignment.to_json()],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
    return time.monotonic() - start, len(assignments)


def report() -> str:
    """Return the benchmark as Markdown."""
    ours = sweep_seconds()
    loop, num_replicates = loop_seconds()
    return "\n".join(
        [
            f"**Phase A at smoke scale** ({num_replicates} replicates of 30 steps, 53 thousand parameters, "
            f"{local_inventory().cpus} CPUs, 1 thread a replicate)",
            "",
            "| runner | wall time |",
            "|---|---:|",
            f"| `phasesweep run`, MLflow and table included | {ours:.1f} s |",
            f"| loop of one process a replicate | {loop:.1f} s |",
            f"| ratio | {loop / ours:.2f}× |",
        ]
    )


def main() -> None:
    """Print the benchmark, or run the one replicate that the loop asks for."""
    if len(sys.argv) > 1:
        *_, last = Attempt(Assignment.from_json(sys.argv[1])).events()
        if last["outcome"] != "finished":
            raise SystemExit(last["message"])
    else:
        print(report())


if __name__ == "__main__":
    main()
