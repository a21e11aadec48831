"""Operating a sweep: what runs where, stopping it from elsewhere, limits, take-overs, the death of Ray."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import psutil
import pytest

from sweeps.cli.schemas.generate import load_schema
from tests.faults.test_interrupts import left_behind
from tests.support.machine.waiting import wait_for
from tests.support.sweeps.studies import journal_events, phasesweep, start, write_study

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ENDLESS = 10_000_000


def num_started(folder: Path) -> int:
    return sum(event["event"] == "started" for event in journal_events(folder / "results"))


@contextmanager
def driver(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the study in `folder`; the driver does not outlive the block."""
    process = start(["run", "tiny.yaml"], folder)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a sweep of two replicates that would run for days, and wait until both run."""
    write_study(tmp_path, seeds=1, steps=ENDLESS)
    with driver(tmp_path) as process:
        wait_for(lambda: num_started(tmp_path) == 2, "two replicates at work")
        yield process


def test_status_tells_what_runs_and_stop_shuts_it_down(tmp_path: Path, endless: subprocess.Popen[str]) -> None:
    status = json.loads(phasesweep(["status", "tiny.yaml", "--json"], tmp_path).stdout)
    jsonschema.validate(status, load_schema("status"))
    assert status["statuses"] == {"running": 2}
    for running in status["running"]:
        assert psutil.Process(running["pid"]).is_running()
        assert running["device"] == "cpu" and running["predicted_memory_mib"] > 100
    assert [driver["pid"] for driver in status["drivers"]] == [endless.pid]
    (host,) = status["hosts"]
    assert host["num_running"] == 2

    asked = phasesweep(["stop", "tiny.yaml", "--json"], tmp_path)
    assert asked.returncode == 0, asked.stderr
    stopped = json.loads(asked.stdout)
    jsonschema.validate(stopped, load_schema("stop"))
    assert [driver["stopped"] for driver in stopped["drivers"]] == [True]
    out, err = endless.communicate()
    assert endless.returncode == 130, err
    assert "Traceback" not in out + err
    assert "stopped: by `phasesweep stop` of " in out
    assert "2 of 2 replicates are left; continue with: " in out
    last = journal_events(tmp_path / "results")[-1]
    assert last["event"] == "interrupted" and last["reason"].startswith("by `phasesweep stop`")
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")
    assert not {path.name for path in (tmp_path / "results/tiny/laptop/leases").iterdir()} - {"lock"}


def test_limits_end_a_run_and_say_how_to_go_on(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=2)
    first = phasesweep(["run", "tiny.yaml", "--max-trials", "1"], tmp_path)
    assert first.returncode == 130, first.stderr
    assert "stopped: --max-trials 1 reached\n3 of 4 replicates are left; continue with: " in first.stdout
    assert num_started(tmp_path) == 1
    rest = phasesweep(["run", "tiny.yaml", "--max-trials", "3"], tmp_path)
    assert rest.returncode == 0, rest.stderr
    assert "stopped" not in rest.stdout, "nothing is left: the limit has stopped nothing"
    write_study(tmp_path, seeds=2, steps=ENDLESS)
    timed = phasesweep(["run", "tiny.yaml", "--scale", "smoke", "--max-hours", "0.006"], tmp_path)
    assert timed.returncode == 130, timed.stderr
    assert "stopped: --max-hours 0.006 reached\n4 of 4 replicates are left" in timed.stdout


def test_a_driver_with_nothing_left_waits_and_takes_over_from_one_that_dies(
    tmp_path: Path, endless: subprocess.Popen[str]
) -> None:
    endless.send_signal(signal.SIGSTOP)  # alive, and not getting on: its workers wait for it at their next report
    with driver(tmp_path) as second:
        assert second.stdout is not None
        said = iter(second.stdout.readline, "")
        assert any("waiting for 2 replicates of another driver" in line for line in said), second.communicate()
        assert second.poll() is None and num_started(tmp_path) == 2
        endless.kill()
        wait_for(lambda: num_started(tmp_path) == 4, "both replicates at work again")
        second.send_signal(signal.SIGINT)
        out, err = second.communicate()
    assert second.returncode == 130, out + err
    assert "2 of 2 replicates are left; continue with: " in out
    starts = [event for event in journal_events(tmp_path / "results") if event["event"] == "started"]
    by_driver = Counter((event["sweep_id"], event["config_id"]) for event in starts)
    assert set(by_driver.values()) == {1} and len({sweep_id for sweep_id, _ in by_driver}) == 2


@pytest.mark.parametrize(
    ("process", "says"), [("raylet", "Ray's process on this machine (raylet)"), ("gcs_server", "Ray's head at")]
)
def test_the_death_of_ray_is_told_and_nothing_is_lost(
    process: str, says: str, tmp_path: Path, endless: subprocess.Popen[str]
) -> None:
    (victim,) = [c for c in psutil.Process(endless.pid).children(recursive=True) if c.name() == process]
    victim.kill()
    out, err = endless.communicate()
    assert endless.returncode == 130, out + err
    assert f"stopped: the run failed: {says}" in out
    assert "continue with: " in out
    assert "Traceback" not in out + err
    assert "RayFailure" in (tmp_path / "results/tiny/laptop/driver.log").read_text(encoding="utf-8")
    status = json.loads(phasesweep(["status", "tiny.yaml", "--json"], tmp_path).stdout)
    assert status["num_missing"] == 2
    assert status["drivers"] == status["stale_leases"] == []
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")
