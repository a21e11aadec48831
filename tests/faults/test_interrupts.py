"""Real signals to the installed command: nothing is lost, nothing runs twice, nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.machine.waiting import wait_for
from tests.support.sweeps.studies import journal_events, phasesweep, start, write_study
from tests.support.sweeps.verbs import caller

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SEEDS = 4
REPLICATES = 2 * SEEDS


def num_finished(folder: Path) -> int:
    return sum(event["event"] == "finished" for event in journal_events(folder / "results"))


def left_behind(folder: Path) -> list[str]:
    """Return living processes that belong to the sweep in `folder`: its driver, its Ray, its workers."""
    mine = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PHASESWEEP_RESULTS") == str(folder / "results"):
                mine.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return mine


def kill_what_is_left(folder: Path, process: subprocess.Popen[str]) -> None:
    """End, however a test has ended, what it started."""
    for entry in left_behind(folder):
        with suppress(ProcessLookupError):
            os.kill(int(entry.split()[0]), signal.SIGKILL)
    process.communicate()


def finish_and_check(folder: Path, study: Path, num_before: int) -> None:
    """Run again: only what is missing runs, and every replicate has exactly one result."""
    done = phasesweep(["run", str(study)], folder)
    assert done.returncode == 0, done.stderr
    assert f"{REPLICATES - num_before} of {REPLICATES} replicates to run" in done.stdout
    ends = Counter(
        (event["config_id"], event["seed"])
        for event in journal_events(folder / "results")
        if event["event"] == "finished"
    )
    assert len(ends) == REPLICATES
    assert set(ends.values()) == {1}
    table = json.loads(phasesweep(["results", str(study), "--json"], folder).stdout)
    assert [row["n"] for row in table["rows"]] == [SEEDS, SEEDS]


@contextmanager
def sweep(folder: Path, study: Path, *, started: int, finished: int) -> Iterator[subprocess.Popen[str]]:
    """Start a sweep, wait until so many replicates have been started and have ended, and leave nothing of it."""
    process = start(["run", str(study)], folder)

    def is_at_work() -> bool:
        counts = Counter(event["event"] for event in journal_events(folder / "results"))
        return counts["started"] >= started and counts["finished"] >= finished

    try:
        wait_for(lambda: is_at_work() or process.poll() is not None, "finished replicates")
        if process.poll() is not None:
            raise AssertionError(f"the sweep ended too early: {process.communicate()}")
        yield process
    finally:
        kill_what_is_left(folder, process)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Start a sweep and wait until two replicates have ended and others are at work."""
    study = write_study(tmp_path, seeds=SEEDS, steps=200, report_every=10)
    with sweep(tmp_path, study, started=2, finished=2) as process:
        yield study, process


def test_ctrl_c_at_work_shuts_down_and_says_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two replicates one has ended, and the other, which would run for days, is at work."""
    study = write_study(tmp_path, seeds=1, steps=10, report_every=10)
    endless = "{architecture: {name: kuramoto, phase_layers: [0], num_oscillators: 4}, budget: {steps: 10000000}}"
    text = re.sub(r"(?m)^  kuramoto: .*$", f"  kuramoto: {endless}", study.read_text(encoding="utf-8"))
    study.write_text(text, encoding="utf-8")
    with sweep(tmp_path, study, started=2, finished=1) as process:
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert "1 of 2 replicates are left; continue with: " in out
    assert not left_behind(tmp_path)
    assert not list((tmp_path / "results").rglob("*.claim"))
    events = Counter(event["event"] for event in journal_events(tmp_path / "results"))
    assert (events["finished"], events["interrupted"]) == (1, 1)
    assert not {"crashed", "timed_out", "oom"} & events.keys()
    call = caller(tmp_path, monkeypatch, capsys)
    status = call("status", str(study), "--json").json("status")
    assert (status["statuses"]["finished"], status["drivers"]) == (1, [])


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGTERM, id="terminate")]
)
def test_an_orderly_stop_leaves_a_resumable_sweep_and_no_orphans(
    number: signal.Signals, tmp_path: Path, running: tuple[Path, subprocess.Popen[str]]
) -> None:
    study, process = running
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal sends it: to the whole process group
    else:
        process.terminate()
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert "continue with: " in out
    assert any(e["event"] == "interrupted" for e in journal_events(tmp_path / "results"))
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")
    finished = num_finished(tmp_path)
    assert 2 <= finished < REPLICATES
    assert not list((tmp_path / "results").rglob("*.lease"))
    finish_and_check(tmp_path, study, finished)


def test_kill_9_of_the_driver_loses_nothing_and_repeats_nothing(
    tmp_path: Path, running: tuple[Path, subprocess.Popen[str]]
) -> None:
    study, process = running
    process.kill()
    process.communicate()
    finished = num_finished(tmp_path)
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")
    finish_and_check(tmp_path, study, finished)


def test_a_killed_worker_is_a_crash_that_run_tries_once_more(
    tmp_path: Path, running: tuple[Path, subprocess.Popen[str]]
) -> None:
    study, process = running
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "Trainable" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE
    ]
    assert workers
    workers[0].kill()
    out, err = process.communicate()
    assert process.returncode == 1, out + err
    crashed = [event for event in journal_events(tmp_path / "results") if event["event"] == "crashed"]
    assert len(crashed) == 1
    assert "killed" in crashed[0]["message"]
    finish_and_check(tmp_path, study, REPLICATES - 1)
