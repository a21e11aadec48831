"""Real hangs: a worker that reads from a pipe that nobody writes to, and one that is frozen as a whole."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.inventory import local_inventory
from sweeps.planning import build_plan
from sweeps.resolve import load_study
from sweeps.results_folder import ResultsFolder
from tests.faults.test_interrupts import left_behind
from tests.integration.studies import STUDY, journal_events, phasesweep, start
from tests.mlflow_contents import contents
from tests.waiting import wait_for
from trainables.replicate_folder import ReplicateFolder

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

TIMEOUT_SECONDS = 20


def write_impatient_study(folder: Path, *, steps: int) -> None:
    limits = f"resources: {{report_timeout_seconds: {TIMEOUT_SECONDS}}}\nscales:"
    (folder / "tiny.yaml").write_text(
        STUDY.format(seeds=1, steps=steps, report_every=10).replace("scales:", limits), encoding="utf-8"
    )


@pytest.mark.slow
def test_a_hang_is_timed_out_the_sweep_goes_on_and_resume_mends_it(tmp_path: Path) -> None:
    """The kuramoto replicate finds a pipe where its checkpoint would be, and waits for ever to read it."""
    write_impatient_study(tmp_path, steps=20)
    study = load_study(str(tmp_path / "tiny.yaml"), "laptop", [])
    hangs, goes_on = (arm.config_id for arm in reversed(build_plan(study, local_inventory(), None).arms))
    folder = ResultsFolder.of(tmp_path / "results", study)
    folder.prepare(study)
    replicate = ReplicateFolder(folder.replicate(hangs, 0))
    replicate.checkpoint.parent.mkdir(parents=True)
    os.mkfifo(replicate.checkpoint)

    done = phasesweep(["run", "tiny.yaml"], tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    ends = {e["config_id"]: e for e in journal_events(folder.path) if e["event"] in {"finished", "timed_out"}}
    assert ends[goes_on]["event"] == "finished"
    assert ends[hangs]["event"] == "timed_out"
    assert ends[hangs]["message"].startswith(f"no report for {TIMEOUT_SECONDS} s; it hung at File ")
    log = (replicate.path / "log.txt").read_text(encoding="utf-8")
    assert "Thread 0x" in log and "load_checkpoint" in log, "the stack says where it was"
    assert not replicate.stacks.exists()

    replicate.checkpoint.unlink()
    mended = phasesweep(["resume", "tiny.yaml", "--failed"], tmp_path)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "1 of 2 replicates to run" in mended.stdout
    assert "to run again: 1 (failed, timed_out: no report for 20 s" in mended.stdout
    events = [e["event"] for e in journal_events(folder.path) if e.get("config_id") == hangs]
    assert events == ["timed_out", "reopened", "started", "report", "report", "finished"]
    runs = contents(tmp_path / "results" / "mlflow.db")
    assert runs[f"tiny@laptop/{hangs}/0"]["status"] == "FINISHED"
    assert runs[f"tiny@laptop/{hangs}/0"]["tags"]["phasesweep.status"] == "finished"


@pytest.mark.slow
def test_a_frozen_process_is_ended_by_the_driver(tmp_path: Path) -> None:
    """Its own watchdog is frozen too; the other replicate goes on meanwhile."""
    write_impatient_study(tmp_path, steps=2000)
    process = start(["run", "tiny.yaml"], tmp_path)

    def begun() -> list[dict[str, Any]]:
        return [event for event in journal_events(tmp_path / "results") if event["event"] == "report"]

    wait_for(lambda: bool(begun()) or process.poll() is not None, "a report")
    frozen = begun()[0]["config_id"]
    events = journal_events(tmp_path / "results")
    (pid,) = (e["pid"] for e in events if e["event"] == "started" and e["config_id"] == frozen)
    os.kill(pid, signal.SIGSTOP)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, out + err
    assert "Traceback" not in out + err
    ends = {e["event"]: e for e in journal_events(tmp_path / "results") if e["event"] in {"finished", "timed_out"}}
    assert ends["timed_out"]["config_id"] == frozen != ends["finished"]["config_id"]
    assert f"process {pid} on " in ends["timed_out"]["message"]
    assert ends["timed_out"]["message"].endswith(" was frozen; the driver ended it")
    assert not psutil.pid_exists(pid)
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}", seconds=30)
