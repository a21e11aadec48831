"""A real hang: a worker that reads from a pipe that nobody writes to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.inventory import local_inventory
from sweeps.plan import build_plan
from sweeps.resolve import load_study
from sweeps.results_folder import ResultsFolder
from tests.integration.studies import STUDY, journal_events, phasesweep
from tests.mlflow_contents import contents
from trainables.replicate_folder import ReplicateFolder

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

TIMEOUT_SECONDS = 20


def test_a_hang_is_timed_out_the_sweep_goes_on_and_resume_mends_it(tmp_path: Path) -> None:
    """The kuramoto replicate finds a pipe where its checkpoint would be, and waits for ever to read it."""
    limits = f"resources: {{report_timeout_seconds: {TIMEOUT_SECONDS}}}\nscales:"
    (tmp_path / "tiny.yaml").write_text(
        STUDY.format(seeds=1, steps=20, report_every=10).replace("scales:", limits), encoding="utf-8"
    )
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
