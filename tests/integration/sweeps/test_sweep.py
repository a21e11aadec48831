"""A real sweep with the installed command: Ray, SQLite, MLflow, files. Run once, looked at from all sides."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from analysis.records.journal import read_journal
from tests.faults.test_interrupts import kill_what_is_left
from tests.support.machine.waiting import has_ended, wait_for
from tests.support.sweeps.finished_sweep import ARMS, REPLICATES, SEEDS, STUDY, FinishedSweep
from tests.support.sweeps.studies import MEASURING, journal_events, phasesweep, start, write_study
from tests.support.sweeps.verbs import Call, caller

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def folder(finished: FinishedSweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a sweep has left."""
    return finished.copy_to(tmp_path_factory.mktemp("sweep") / "here")


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(folder, monkeypatch, capsys)


def test_it_ends_with_the_table_and_the_line_that_opens_mlflow(finished: FinishedSweep) -> None:
    assert MEASURING.fullmatch(finished.err)
    assert f"{REPLICATES} of {REPLICATES} replicates to run" in finished.out
    assert "95 % interval" in finished.out
    assert "memory: " not in finished.out  # nothing ran out of it
    lines = finished.out.strip().splitlines()
    assert lines[-1].startswith("open the MLflow page with: ")
    assert lines[-1].endswith("phasesweep ui quickstart --scale smoke")
    for arm in ARMS:
        row = next(line for line in lines if line.startswith(arm))
        assert f" {SEEDS} " in row


def test_every_replicate_has_one_result_and_its_reports(folder: Path) -> None:
    events = journal_events(folder / "results")
    assert events[0]["event"] == "sweep"
    counts = Counter(event["event"] for event in events)
    assert counts == {"sweep": 1, "started": REPLICATES, "report": 2 * REPLICATES, "finished": REPLICATES}
    state = read_journal(folder / "results/quickstart/smoke/journal")
    for replicate in state.replicates.values():
        assert [point.step for point in replicate.reports] == [10, 20]
        assert replicate.numerics["threads"] == 1
        assert replicate.seconds is not None and replicate.cpu_seconds is not None
        assert replicate.peak_memory_mib is not None and replicate.peak_memory_mib > 50


def test_actors_are_reused(folder: Path) -> None:
    """Eight replicates, two slots: no more processes than slots and trials waiting for them."""
    events = [event for event in journal_events(folder / "results") if event["event"] == "started"]
    assert len({event["pid"] for event in events}) < len(events)


def test_a_replicate_folder_explains_itself(folder: Path) -> None:
    replicates = sorted((folder / "results/quickstart/smoke/replicates").glob("*/seed=*"))
    assert len(replicates) == REPLICATES
    for path in replicates:
        assert {item.name for item in path.iterdir()} >= {
            "config.yaml",
            "metrics.jsonl",
            "log.txt",
        }
        config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
        assert config["config_id"] == path.parent.name
        assert path.name == f"seed={config['seed']}"
        assert "finished at step 20" in (path / "log.txt").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [row["step"] for row in rows] == [10, 20]
    resolved = yaml.safe_load((folder / "results/quickstart/smoke/study.yaml").read_text(encoding="utf-8"))
    assert resolved["format_version"] == 1


def test_run_again_runs_nothing_and_says_the_same(finished: FinishedSweep, folder: Path, call: Call) -> None:
    again = call("run", *STUDY)
    assert again.code == 0
    assert f"0 of {REPLICATES} replicates to run" in again.out
    first, second = (said[said.index("quickstart @ smoke") :].splitlines() for said in (finished.out, again.out))
    written = [line for line in first if not line.startswith("page: ")]
    assert len(first) == len(written) + 1, "the page is written where something ran"
    assert len(written) == len(second) > len(ARMS) + 2
    assert written[:-2] == second[:-2], "all but where the results are and how this program was called"
    assert Counter(event["event"] for event in journal_events(folder / "results"))["finished"] == REPLICATES


def test_status_counts(call: Call) -> None:
    status = call("status", *STUDY, "--json").json("status")
    assert status["statuses"] == {"finished": REPLICATES}
    assert status["num_missing"] == 0
    assert status["drivers"] == []


@pytest.mark.slow
def test_more_seeds_and_other_hardware_continue_where_the_results_are(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=1)
    assert phasesweep(["run", "tiny.yaml"], tmp_path).returncode == 0
    more = ["--set", "seeds=2", "--set", "resources.report_timeout_seconds=900"]
    done = phasesweep(["run", "tiny.yaml", *more], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 of 4 replicates to run" in done.stdout
    assert [path.name for path in (tmp_path / "results" / "tiny").iterdir()] == ["laptop"]
    assert Counter(event["event"] for event in journal_events(tmp_path / "results"))["finished"] == 4
    status = json.loads(phasesweep(["status", "tiny.yaml", "--json"], tmp_path).stdout)
    assert (status["statuses"], status["num_missing"]) == ({"finished": 4}, 0)


@pytest.mark.slow
def test_a_diverged_replicate_is_a_result_and_stays_in_the_table(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=2)
    wild = ["--set", "arms.kuramoto.optimizer.learning_rate=1e9", "--set", "optimizer.clip_norm=1e9"]
    done = phasesweep(["run", "tiny.yaml", *wild], tmp_path)
    assert done.returncode == 0, done.stderr
    table = json.loads(phasesweep(["results", "tiny.yaml", *wild, "--json"], tmp_path).stdout)
    rows = {row["arm"]: row for row in table["rows"]}
    assert rows["transformer"]["n"] == 2
    assert rows["kuramoto"]["n"] == 0
    assert rows["kuramoto"]["n_failed"] == 2
    assert rows["kuramoto"]["statuses"] == {"diverged": 2}
    again = phasesweep(["run", "tiny.yaml", *wild], tmp_path)
    assert "0 of 4 replicates to run" in again.stdout


HELD = """\
import time
from pathlib import Path
from typing import Literal

from torch._subclasses.fake_tensor import FakeTensor

from trainables.architectures.gpt import TransformerConfig
from trainables.registry import register_architecture


@register_architecture("held", version=1)
class HeldConfig(TransformerConfig):
    name: Literal["held"] = "held"

    def build_mixer(self, layer):
        mixer = super().build_mixer(layer)

        def waits(module, inputs):
            while not isinstance(inputs[0], FakeTensor) and not Path("{gate}").exists():
                time.sleep(0.05)

        mixer.register_forward_pre_hook(waits)
        return mixer
"""
"""A transformer that computes nothing, but for a plan's estimate, until a file exists."""


def write_held_study(folder: Path, gate: Path, *, seeds: int) -> None:
    """Write the study `tiny` with two arms that are held."""
    (folder / "held.py").write_text(HELD.format(gate=gate), encoding="utf-8")
    study = write_study(folder, seeds=seeds)
    before, rest = study.read_text(encoding="utf-8").split("arms:")
    arms = "\n  wide: {role: baseline, architecture: {name: held}}"
    arms += "\n  narrow: {architecture: {name: held, d_model: 8}}"
    scales = rest[rest.index("scales:") :]
    study.write_text(f"{before}arms:{arms}\nplugins: [held.py]\n{scales}", encoding="utf-8")


@pytest.mark.slow
def test_two_drivers_share_the_work_and_outlive_each_other(tmp_path: Path) -> None:
    """One of two is killed midway, and its trials: the other takes over what it had leased; nothing ends twice.

    Trials are held until then, so that neither driver can be through before the other has begun.
    """
    gate = tmp_path / "gate"
    write_held_study(tmp_path, gate, seeds=3)

    def keys(event: str) -> dict[str, list[tuple[str, int]]]:
        """Return the replicates of which each sweep has written `event`."""
        found: dict[str, list[tuple[str, int]]] = {}
        for line in journal_events(tmp_path / "results"):
            if line["event"] == event:
                found.setdefault(line["sweep_id"], []).append((line["config_id"], line["seed"]))
        return found

    first = start(["run", "tiny.yaml"], tmp_path)
    wait_for(lambda: keys("started"), "a trial of the first driver")
    (sweep_of_first,) = keys("started")
    second = start(["run", "tiny.yaml"], tmp_path)
    try:
        wait_for(lambda: len(keys("started")) == 2, "a trial of the second driver")
        of_first = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
        for process in of_first:  # at once: Ray takes a minute to end the trials of a driver that was killed
            with suppress(psutil.NoSuchProcess):
                process.kill()
        first.communicate()
        wait_for(lambda: all(has_ended(each.pid) for each in of_first), "the end of the first driver's trials")
        taken = keys("started")[sweep_of_first]
        gate.touch()
        out, err = second.communicate()
    finally:
        kill_what_is_left(tmp_path, second)
    assert second.returncode == 0, out + err
    ((sweep_of_second, finished),) = keys("finished").items()
    assert len(finished) == len(set(finished)) == 6
    started = keys("started")
    assert sorted(started[sweep_of_second]) == sorted(finished), "each once"
    assert set(started[sweep_of_first]) == set(taken)
    assert sweep_of_second != sweep_of_first
