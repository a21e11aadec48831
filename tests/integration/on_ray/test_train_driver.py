"""Trials of two workers with the installed command: real Ray Train, real processes, real deaths."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from cluster.inventory import local_inventory
from sweeps.plan.builder import build_plan
from sweeps.store.folder import ResultsFolder
from sweeps.studies.resolve import load_study
from tests.faults.test_interrupts import kill_what_is_left, left_behind
from tests.support.machine.head_node import Head, head_node
from tests.support.machine.waiting import has_ended, wait_for
from tests.support.sweeps.studies import MEASURING, journal_events, phasesweep, start
from trainables.config.trial import TrialConfig
from trainables.training.loop import train
from trainables.training.numerics import Numerics

pytestmark = [pytest.mark.ray, pytest.mark.slow]

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
    results = ResultsFolder.of(folder / "results", study.name, study.results_key)
    results.prepare(study.resolved(), study.plugin_texts)
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
    assert done.returncode == 0 and MEASURING.fullmatch(done.stderr), done.stdout + done.stderr
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
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


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
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a sweep of a trial that will not end by itself, wait until it reports, and leave nothing of it."""
    write_pair(tmp_path, steps=1_000_000, patience=20.0)
    process = start(["run", "pair.yaml"], tmp_path)
    try:
        wait_for(lambda: bool(events(tmp_path, "report")) or process.poll() is not None, "a report")
        assert process.poll() is None, process.communicate()
        assert len(pids_of_ranks(tmp_path)) == 2
        yield process
    finally:
        kill_what_is_left(tmp_path, process)


def test_a_rank_that_is_killed_ends_the_trial(tmp_path: Path, at_work: subprocess.Popen[str]) -> None:
    os.kill(pids_of_ranks(tmp_path)[1], signal.SIGKILL)
    wait_for(lambda: bool(events(tmp_path, "crashed")), "a crash in the journal")
    assert "rank " in events(tmp_path, "crashed")[0]["message"]
    at_work.communicate()
    assert at_work.returncode == 1
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


def test_a_rank_that_hangs_ends_the_trial_as_timed_out(tmp_path: Path, at_work: subprocess.Popen[str]) -> None:
    psutil.Process(pids_of_ranks(tmp_path)[1]).suspend()
    wait_for(lambda: bool(events(tmp_path, "timed_out")), "a time-out in the journal")
    assert "no report for 20 s" in events(tmp_path, "timed_out")[0]["message"]
    at_work.communicate()
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


def test_ctrl_c_ends_both_ranks_and_the_rest_continues(tmp_path: Path, at_work: subprocess.Popen[str]) -> None:
    ranks = pids_of_ranks(tmp_path)
    os.killpg(at_work.pid, signal.SIGINT)
    out, err = at_work.communicate()
    assert at_work.returncode == 130, out + err
    assert "Traceback" not in out + err
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")
    assert all(has_ended(pid) for pid in ranks)


def test_a_killed_driver_gives_the_workers_cores_back(tmp_path: Path) -> None:
    """The second replicate needs the cores of the first: what drove them has died, and Ray would keep them."""
    write_pair(tmp_path, steps=1000)
    process = start(["run", "pair.yaml", "--set", "seeds=2"], tmp_path)
    wait_for(lambda: bool(events(tmp_path, "report")), "a report")
    (driver,) = (int(entry.split()[0]) for entry in left_behind(tmp_path) if "Trainable" in entry)
    os.kill(driver, signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 1, out + err
    assert len(events(tmp_path, "crashed")) == len(events(tmp_path, "finished")) == 1
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


def test_a_driver_killed_before_its_workers_speak_gives_their_cores_back(tmp_path: Path) -> None:
    """Nobody has said yet which cores they are."""
    write_pair(tmp_path)
    process = start(["run", "pair.yaml", "--set", "seeds=2"], tmp_path)
    wait_for(lambda: bool(pids_of_ranks(tmp_path)), "a rank")
    (driver,) = (int(entry.split()[0]) for entry in left_behind(tmp_path) if "Trainable" in entry)
    os.kill(driver, signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 1, out + err
    assert len(events(tmp_path, "crashed")) == len(events(tmp_path, "finished")) == 1
    assert len(events(tmp_path, "started")) == 1, "the first has not spoken"
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


def test_a_driver_that_is_frozen_is_ended_with_its_ranks(tmp_path: Path, at_work: subprocess.Popen[str]) -> None:
    """The ranks wait for it in vain, and no watchdog of theirs fires: they have reported."""
    (driver,) = (int(entry.split()[0]) for entry in left_behind(tmp_path) if "Trainable" in entry)
    os.kill(driver, signal.SIGSTOP)
    wait_for(lambda: bool(events(tmp_path, "timed_out")), "a time-out in the journal")
    assert events(tmp_path, "timed_out")[0]["message"].endswith(" was frozen; the driver ended it")
    out, err = at_work.communicate()
    assert at_work.returncode == 1, out + err
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


PRUNES = """\
import sys
from sweeps.cli import app
from sweeps.run import engine
from trainables.worker.single_worker import EVENT_KEY

pruned = set()

def prune_the_first_that_reports(self, trial_id, result):
    if not pruned and '"event": "report"' in result.get(EVENT_KEY, ""):
        pruned.add(trial_id)
    return trial_id in pruned

engine._Stopper.__call__ = prune_the_first_that_reports
app.main()
"""
"""The installed command with a Tune stopper that ends one trial, as a pruning scheduler would."""


def test_one_trial_that_is_stopped_leaves_its_cores_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "phasesweep.py").write_text(PRUNES, encoding="utf-8")
    monkeypatch.setattr(
        "tests.support.sweeps.studies.PHASESWEEP", [sys.executable, str(tmp_path / "phasesweep.py")]
    )
    write_pair(tmp_path, steps=40)
    process = start(["run", "pair.yaml", "--set", "seeds=2"], tmp_path)
    wait_for(lambda: len(events(tmp_path, "started")) == 2 or process.poll() is not None, "both")
    first, second = events(tmp_path, "started")
    assert has_ended(first["pid"])
    assert second["pid"] in pids_of_ranks(tmp_path) and len(pids_of_ranks(tmp_path)) == 2
    out, err = process.communicate()
    assert process.returncode == 130, out + err
    assert "1 of 2 replicates are left" in out
    (finished,) = events(tmp_path, "finished")
    assert finished["seed"] == second["seed"] != first["seed"]
    assert [e["step"] for e in events(tmp_path, "report") if e["seed"] == first["seed"]] == [10]
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")


HOLDS_A_CORE = """\
import sys, time
import ray
ray.init(address=sys.argv[1], log_to_driver=False)
held = ray.util.placement_group([{"CPU": 1}])
ray.get(held.ready())
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def one_core_held(head: Head) -> Iterator[None]:
    """Keep one of the two cores of a cluster for somebody else."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_A_CORE, head.join],
        env=head.environment(RAY_AUTH_MODE="token"),
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "held\n"
            yield
        finally:
            other.kill()


def test_workers_whose_cores_are_never_granted_have_timed_out(tmp_path: Path) -> None:
    """The cluster has two cores, so the plan fits it; another user keeps one of them."""
    write_pair(tmp_path, patience=20.0)
    with head_node() as head, one_core_held(head):
        home = {"HOME": str(head.folder / "home")}
        done = phasesweep(["run", "pair.yaml"], tmp_path, RAY_ADDRESS=head.join, **home)
    assert done.returncode == 1, done.stdout + done.stderr
    (timed_out,) = events(tmp_path, "timed_out")
    assert "its 2 workers did not start within 60 s: Ray has not granted what they ask for" in timed_out["message"]
    assert 60 <= timed_out["seconds"] < 120
    assert not events(tmp_path, "started")
