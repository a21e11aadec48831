"""Real hangs: a worker that reads from a pipe that nobody writes to, one that is frozen as a whole, and a TPI model
that never comes back from a pass in the middle of training, as the published run of its query offset did.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cluster.inventory import local_inventory
from sweeps.plan.builder import build_plan
from sweeps.store.folder import ResultsFolder
from sweeps.studies.resolve import load_study
from tests.faults.test_interrupts import left_behind
from tests.support.machine.mlflow_contents import contents
from tests.support.machine.waiting import has_ended, wait_for
from tests.support.models.configs import small_assignment
from tests.support.sweeps.studies import STUDY, journal_events, phasesweep, start
from trainables.config.trial import TrialConfig
from trainables.plugins.files import activate, read_plugin
from trainables.worker.replicate_folder import ReplicateFolder
from trainables.worker.watchdog import hang_location, read_stack_dump

pytestmark = pytest.mark.slow

TIMEOUT_SECONDS = 20

STUCK_AT = 13
STUCK_FAMILY = f"""\
from itertools import count
from typing import Literal

from trainables.architectures.tpi.config import TPIConfig
from trainables.registry import register_architecture


@register_architecture("stuck_tpi", version=1)
class StuckConfig(TPIConfig):
    name: Literal["stuck_tpi"] = "stuck_tpi"
    variant: str = "v6_query_offset"

    def build_mixer(self, layer):
        mixer, passes = super().build_mixer(layer), count(1)

        def never_comes_back(out, *_):
            if out.training and next(passes) == {STUCK_AT}:
                while True: pass

        mixer.out.register_forward_hook(never_comes_back)
        return mixer
"""
"""TPI whose 13th step never ends: after the scan it is busy for ever."""
STUCK_LINE = next(n for n, line in enumerate(STUCK_FAMILY.splitlines(), start=1) if "while" in line)
STUCK_PLACE = f'stuck_tpi.py", line {STUCK_LINE} in never_comes_back'
WORKER = """\
import sys
import torch._dynamo  # the optimiser loads it at its first use, which takes longer than the watch here waits
from trainables.worker.assignment import Assignment
from trainables.worker.attempt import Attempt

for event in Attempt(Assignment.from_json(sys.stdin.read())).events():
    print(event["event"], event["step"], flush=True)
"""
TPI_ARMS = """\
  query_offset: {architecture: {name: tpi, variant: v6_query_offset}}
  stuck: {architecture: {name: stuck_tpi}}
plugins: [stuck_tpi.py]
"""


def write_impatient_study(folder: Path, *, steps: int, more: str = "") -> None:
    limits = f"{more}resources: {{report_timeout_seconds: {TIMEOUT_SECONDS}}}\nscales:"
    (folder / "tiny.yaml").write_text(
        STUDY.format(seeds=1, steps=steps, report_every=10).replace("scales:", limits), encoding="utf-8"
    )


def assert_stuck_in_training(stacks: str) -> None:
    """The stack leads from the training step into the mixer and to the line that never ends."""
    assert re.search(r"in never_comes_back.*tpi/mixer\.py.*in _train_one_step", stacks, re.DOTALL), stacks


def test_a_tpi_model_that_hangs_in_training_ends_its_process_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "stuck_tpi.py"
    path.write_text(STUCK_FAMILY, encoding="utf-8")
    plugin = activate(read_plugin(path))
    budget = {"steps": 20, "batch_size": 4, "report_every": 10}
    small = {"name": "stuck_tpi", "d_model": 8, "num_layers": 1}
    fields = {"architecture": small, "task": {"name": "copy", "num_val": 20}, "budget": budget}
    config = TrialConfig.model_validate(fields)
    given = small_assignment(
        tmp_path,
        config=config.model_dump(mode="json"),
        data_hash=config.task.build(None).data_hash,
        plugins=[asdict(plugin)],
        report_timeout_seconds=4.0,
    )
    command = [sys.executable, "-c", WORKER]
    done = subprocess.run(command, check=False, input=given.to_json(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "started 0\nreport 10\n"), done.stderr
    stacks = read_stack_dump(ReplicateFolder(Path(given.replicate_dir)).stacks)
    assert hang_location(stacks).endswith(STUCK_PLACE)
    assert_stuck_in_training(stacks)


@pytest.mark.ray
def test_a_tpi_arm_that_hangs_in_training_is_timed_out_and_the_other_arms_finish(tmp_path: Path) -> None:
    (tmp_path / "stuck_tpi.py").write_text(STUCK_FAMILY, encoding="utf-8")
    write_impatient_study(tmp_path, steps=20, more=TPI_ARMS)
    done = phasesweep(["run", "tiny.yaml"], tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    events = journal_events(tmp_path / "results")
    assert sorted(e["event"] for e in events if e["event"] in {"finished", "timed_out", "crashed"}) == [
        *["finished"] * 3,
        "timed_out",
    ]
    (end,) = (e for e in events if e["event"] == "timed_out")
    before = [(e["event"], e["step"]) for e in events if e.get("config_id") == end["config_id"]][:-1]
    assert before == [("started", 0), ("report", 10)], "it had learnt before"
    assert end["message"].startswith(f"no report for {TIMEOUT_SECONDS} s; it hung at File ")
    assert STUCK_PLACE in end["message"]
    (log,) = (tmp_path / "results").rglob(f"replicates/{end['config_id']}/seed=0/log.txt")
    assert_stuck_in_training(log.read_text(encoding="utf-8"))


@pytest.mark.ray
def test_a_hang_is_timed_out_the_sweep_goes_on_and_resume_runs_it_again(tmp_path: Path) -> None:
    """The kuramoto replicate finds a pipe where its checkpoint would be, and waits for ever to read it."""
    write_impatient_study(tmp_path, steps=20)
    study = load_study(str(tmp_path / "tiny.yaml"), "laptop", [])
    hangs, goes_on = (arm.config_id for arm in reversed(build_plan(study, local_inventory(), None).arms))
    folder = ResultsFolder.of(tmp_path / "results", study.name, study.results_key)
    folder.prepare(study.resolved(), study.plugin_texts)
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
    rerun = phasesweep(["resume", "tiny.yaml", "--failed"], tmp_path)
    assert rerun.returncode == 0, rerun.stdout + rerun.stderr
    assert "1 of 2 replicates to run" in rerun.stdout
    assert "to run again: 1 (failed, timed_out: no report for 20 s" in rerun.stdout
    events = [e["event"] for e in journal_events(folder.path) if e.get("config_id") == hangs]
    assert events == ["timed_out", "reopened", "started", "report", "report", "finished"]
    runs = contents(tmp_path / "results" / "mlflow.db")
    assert runs[f"tiny@laptop/{hangs}/0"]["status"] == "FINISHED"
    assert runs[f"tiny@laptop/{hangs}/0"]["tags"]["phasesweep.status"] == "finished"


@pytest.mark.ray
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
    out, err = process.communicate()
    assert process.returncode == 1, out + err
    assert "Traceback" not in out + err
    ends = {e["event"]: e for e in journal_events(tmp_path / "results") if e["event"] in {"finished", "timed_out"}}
    assert ends["timed_out"]["config_id"] == frozen != ends["finished"]["config_id"]
    assert f"process {pid} on " in ends["timed_out"]["message"]
    assert ends["timed_out"]["message"].endswith(" was frozen; the driver ended it")
    assert has_ended(pid)
    wait_for(lambda: not left_behind(tmp_path), f"an end of {left_behind(tmp_path)}")
