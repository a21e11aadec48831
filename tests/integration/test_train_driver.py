"""Trials of two workers with the installed command: real Ray Train, real processes, real deaths."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from cluster.inventory import local_inventory
from sweeps.plan import build_plan
from sweeps.resolve import load_study
from sweeps.results_folder import ResultsFolder
from tests.faults.test_interrupts import left_behind, wait_for
from tests.integration.studies import journal_events, phasesweep, start
from trainables.config import TrialConfig
from trainables.training.loop import train
from trainables.training.numerics import Numerics

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

STUDY = """\
format_version: 1
study: pair
title: One arm, two workers
seeds: 1
base:
  architecture: {{d_model: 16, num_layers: 1, num_heads: 2}}
  task: {{name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}}
  optimizer: {{learning_rate: 3e-3, warmup_steps: 3}}
  budget: {{steps: {steps}, batch_size: 4, report_every: 10, eval_sequences: 8}}
arms:
  transformer: {{role: baseline, architecture: {{name: transformer}}}}
resources: {{workers: 2, report_timeout_seconds: {patience}}}
scales:
  laptop: {{}}
"""


def write_pair(folder: Path, *, steps: int = 20, patience: float = 1800.0) -> None:
    (folder / "pair.yaml").write_text(STUDY.format(steps=steps, patience=patience), encoding="utf-8")


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in journal_events(folder / "results") if event["event"] == kind]


def replicate_folder(folder: Path) -> Path:
    """Return where the only replicate of the study will be; make the folder of results."""
    study = load_study(str(folder / "pair.yaml"))
    results = ResultsFolder.of(folder / "results", study)
    results.prepare(study)
    (planned,) = build_plan(study, local_inventory(), None).arms
    return results.replicate(planned.config_id, 0)


def pids_of_ranks(folder: Path) -> list[int]:
    """Return the processes that train, as Ray names them."""
    named = [entry.split(maxsplit=1) for entry in left_behind(folder)]
    return sorted(int(pid) for pid, name in named if "RayTrainWorker" in name)


def test_two_workers_compute_what_one_does_and_leave_nothing_behind(tmp_path: Path) -> None:
    """Bit for bit what one process computes in two micro-batches; so two such runs are equal, too."""
    write_pair(tmp_path)
    done = phasesweep(["run", "pair.yaml"], tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    (started,), (finished,), reports = (events(tmp_path, kind) for kind in ("started", "finished", "report"))
    assert (started["numerics"]["workers"], started["numerics"]["threads"]) == (2, 1)
    assert finished["peak_memory_mib"] > 50 and finished["cpu_seconds"] > 0

    (written,) = (tmp_path / "results").rglob("seed=0/config.yaml")
    sections = yaml.safe_load(written.read_text(encoding="utf-8"))
    config = TrialConfig.model_validate({k: v for k, v in sections.items() if k not in {"config_id", "seed"}})
    alone = list(train(config, 0, config.task.build(None), numerics=Numerics(micro_batch_size=2)))
    timed = {"train/tokens_per_second": 0.0}
    assert [report["step"] for report in reports] == [10, 20]
    assert [r["metrics"] | timed for r in reports] == [r.metrics | timed for r in alone]
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}", seconds=30)


@pytest.mark.slow
def test_a_rank_that_fails_ends_the_trial_with_its_traceback(tmp_path: Path) -> None:
    """The second rank cannot open a file that the first does not need; the first waits for it meanwhile."""
    write_pair(tmp_path)
    replicate = replicate_folder(tmp_path)
    (replicate / "stacks.rank1.txt").mkdir(parents=True)
    done = phasesweep(["run", "pair.yaml"], tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    (crashed,) = events(tmp_path, "crashed")
    assert crashed["message"].startswith("rank 1: IsADirectoryError: ")
    log = (replicate / "log.txt").read_text(encoding="utf-8")
    assert re.search(r"rank 1: Traceback.*IsADirectoryError", log, re.DOTALL)
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}", seconds=30)


@pytest.fixture
def at_work(tmp_path: Path) -> subprocess.Popen[str]:
    """Start a sweep of a trial that will not end by itself; wait until it reports."""
    write_pair(tmp_path, steps=1_000_000, patience=20.0)
    process = start(["run", "pair.yaml"], tmp_path)
    wait_for(lambda: bool(events(tmp_path, "report")) or process.poll() is not None, "a report", seconds=300)
    assert process.poll() is None, process.communicate()
    assert len(pids_of_ranks(tmp_path)) == 2
    return process


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_trial(tmp_path: Path, at_work: subprocess.Popen[str]) -> None:
    os.kill(pids_of_ranks(tmp_path)[1], signal.SIGKILL)
    wait_for(lambda: bool(events(tmp_path, "crashed")), "a crash in the journal", seconds=60)
    assert "rank " in events(tmp_path, "crashed")[0]["message"]
    at_work.communicate(timeout=60)
    assert at_work.returncode == 1
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}", seconds=30)


@pytest.mark.slow
def test_a_rank_that_hangs_ends_the_trial_as_timed_out(tmp_path: Path, at_work: subprocess.Popen[str]) -> None:
    psutil.Process(pids_of_ranks(tmp_path)[1]).suspend()
    wait_for(lambda: bool(events(tmp_path, "timed_out")), "a time-out in the journal", seconds=120)
    assert "no report for 20 s" in events(tmp_path, "timed_out")[0]["message"]
    at_work.communicate(timeout=60)
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}", seconds=30)


@pytest.mark.slow
def test_ctrl_c_ends_both_ranks_and_the_rest_continues(tmp_path: Path, at_work: subprocess.Popen[str]) -> None:
    ranks = pids_of_ranks(tmp_path)
    os.killpg(at_work.pid, signal.SIGINT)
    out, err = at_work.communicate(timeout=120)
    assert at_work.returncode == 130, out + err
    assert "Traceback" not in out + err
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}", seconds=30)
    assert not any(psutil.pid_exists(pid) for pid in ranks)


@pytest.mark.slow
def test_a_killed_driver_gives_the_workers_cores_back(tmp_path: Path) -> None:
    """The second replicate needs the cores of the first: what drove them has died, and Ray would keep them."""
    write_pair(tmp_path, steps=1000)
    process = start(["run", "pair.yaml", "--set", "seeds=2"], tmp_path)
    wait_for(lambda: bool(events(tmp_path, "report")), "a report", seconds=300)
    (driver,) = (int(entry.split()[0]) for entry in left_behind(tmp_path) if "Trainable" in entry)
    os.kill(driver, signal.SIGKILL)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 1, out + err
    assert len(events(tmp_path, "crashed")) == len(events(tmp_path, "finished")) == 1
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}", seconds=30)
