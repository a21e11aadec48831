"""The disk of the results runs full while a real sweep is at work: one sentence, and nothing finished is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.test_interrupts import finish_and_check, kill_what_is_left, num_finished
from tests.support.machine.disks import fill, small_disk
from tests.support.machine.waiting import wait_for
from tests.support.sweeps.studies import start, write_study

pytestmark = pytest.mark.ray


@pytest.mark.slow
def test_a_disk_that_runs_full_stops_the_sweep_which_can_be_continued(tmp_path: Path) -> None:
    study = write_study(tmp_path, seeds=4, steps=200, report_every=10)
    with small_disk(tmp_path / "results", "20m") as disk:
        process = start(["run", str(study)], tmp_path, MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/mlflow.db")
        try:
            wait_for(lambda: num_finished(tmp_path) >= 1 or process.poll() is not None, "an end")
            ballast = fill(disk)
            out, err = process.communicate()
        finally:
            kill_what_is_left(tmp_path, process)
        assert process.returncode == 1, out + err
        assert "Traceback" not in out + err
        assert "no space left on " in out and "continue with: " in out
        assert not list(disk.rglob("*.lease"))
        finished = num_finished(tmp_path)
        assert finished >= 1
        ballast.unlink()
        assert shutil.disk_usage(disk).free > 0
        finish_and_check(tmp_path, study, finished)
