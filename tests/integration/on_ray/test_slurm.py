"""The example of a Slurm job, with stand-ins for Slurm's two commands and a real Ray: one node, and two.

The stand-ins run each step on this machine; a second node is a second raylet. What Slurm itself does is not tested.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.test_interrupts import left_behind
from tests.support.machine.waiting import wait_for
from tests.support.sweeps.studies import environment, journal_events, write_study

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).parents[3] / "docs" / "examples" / "deploy" / "slurm.sh"
SCONTROL = """#!/bin/bash
test "$1 $2 $3" = "show hostnames $SLURM_JOB_NODELIST" && printf '127.0.0.1\\n%.0s' {1..20000}
"""
"""More than a pipe holds: a reader that takes the first line and ends would end it as well."""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""


def job(folder: Path, number: int, *, nodes: int) -> subprocess.Popen[str]:
    """Start the script as Slurm would on its first node."""
    tools = folder / "bin"
    tools.mkdir()
    for name, text in (("scontrol", SCONTROL), ("srun", SRUN)):
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    slurm = {
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_JOB_ID": str(number),
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.Popen(
        ["bash", str(SCRIPT), "tiny.yaml"],
        cwd=folder,
        env=environment(folder, **slurm),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_sweep_runs_on_both_nodes_and_leaves_nothing(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=2)
    process = job(tmp_path, 12, nodes=2)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    events = journal_events(tmp_path / "results")
    assert sum(event["event"] == "finished" for event in events) == 4
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


def test_before_its_time_limit_it_stops_in_order(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=1, steps=20000)
    process = job(tmp_path, 13, nodes=1)

    def has_begun() -> bool:
        folder = tmp_path / "results"
        return folder.exists() and any(event["event"] == "report" for event in journal_events(folder))

    wait_for(lambda: has_begun() or process.poll() is not None, "a report")
    if process.poll() is None:
        os.kill(process.pid, signal.SIGTERM)  # as `--signal=B:TERM@120` does, to the script alone
    out, err = process.communicate()
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert "phasesweep run tiny.yaml" in out, "how to go on"
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")
