"""What `status` says of a shared results folder: running, queued, stale, and on which machine."""

from __future__ import annotations

import io
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from sweeps.cli.drivers.status import Status, look
from sweeps.cli.schemas.generate import load_schema
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import ReplicateLeases
from sweeps.studies.resolve import load_study
from tests.support.machine.heartbeats import far_driver
from tests.support.sweeps.journals import config_id, replicate_events, sweep_event, write_journal
from tests.support.sweeps.studies import write_study

ARMS = ("baseline", "treatment")
FAR = "another-machine"


def started(arm: str, seed: int, sweep_id: str, at: float, host: str) -> dict[str, Any]:
    (event,) = replicate_events(arm, seed, None, status=None, sweep_id=sweep_id, start=at, steps=())
    return {**event, "host": host, "pid": 4711, "step": 0}


def prepared(tmp_path: Path) -> ResultsFolder:
    study = load_study(str(write_study(tmp_path, seeds=3)), "laptop", [])
    folder = ResultsFolder.of(tmp_path / "results", study.name, study.results_key)
    folder.prepare(study.resolved(), study.plugin_texts)
    return folder


def described(found: Status) -> dict[str, Any]:
    """Return the JSON, checked against its schema, and check that it can be printed for people too."""
    made: dict[str, Any] = json.loads(json.dumps(found.to_json()))
    jsonschema.validate(made, load_schema("status"))
    found.print(Console(file=io.StringIO(), width=200))
    return made


def test_before_a_driver_describes_its_sweep_everything_waits(tmp_path: Path) -> None:
    found = described(look(prepared(tmp_path)))
    assert found["statuses"] == {"waiting": 6}
    assert found["num_missing"] == 6
    assert {row["config_id"] for row in found["replicates"]} == {None}
    assert found["drivers"] == found["running"] == found["hosts"] == found["stale_leases"] == []


@pytest.fixture
def shared(tmp_path: Path) -> ResultsFolder:
    """This process and a driver on another machine at work, and the lease of a third that has died."""
    folder = prepared(tmp_path)
    now = time.time()
    sweep = sweep_event(ARMS, seeds=range(3), sweep_id="here", time=now - 99)
    arms = [arm | {"predicted_memory_mib": 300.5} for arm in sweep["arms"]]
    here = [sweep | {"arms": arms}]
    here += replicate_events("baseline", 0, 2.5, sweep_id="here", start=now - 98, steps=(0, 10))
    here += [started("treatment", 0, "here", now - 40, socket.gethostname())]
    report = {"sweep_id": "here", "config_id": config_id("treatment"), "seed": 0, "event": "report"}
    here += [{**report, "time": now - 30, "step": 10, "metrics": {"train/loss": 2.0}}]
    far = [{**here[0], "sweep_id": "far", "time": now - 100}, started("baseline", 1, "far", now - 20, FAR)]
    dead = [{**here[0], "sweep_id": "dead", "time": now - 101}, started("treatment", 1, "dead", now - 60, FAR)]
    dead += [started("treatment", 2, "dead", now - 70, FAR)]
    for name, events in (("here", here), ("far", far), ("dead", dead)):
        write_journal(folder.journal / f"{name}.jsonl", events)
    far_driver(folder.leases, "far", host=FAR, pid=7, process_started=now - 100)
    for sweep_id, arm, seed in (("far", "baseline", 1), ("far", "baseline", 2), ("dead", "treatment", 1)):
        (folder.leases / f"{config_id(arm)}.seed={seed}.lease").write_text(sweep_id, encoding="utf-8")
    return folder


def test_it_says_what_runs_where_and_what_the_dead_have_left(shared: ResultsFolder) -> None:
    folder = shared
    with ReplicateLeases(folder.leases, "here") as leases:
        assert leases.acquire(config_id("treatment"), 0)
        found = described(look(folder))
    words = {(row["arm"], row["seed"]): row["status"] for row in found["replicates"]}
    assert words == {
        ("baseline", 0): "finished",
        ("treatment", 0): "running",
        ("baseline", 1): "running",
        ("treatment", 1): "stale",
        ("baseline", 2): "queued",
        ("treatment", 2): "unfinished",
    }
    assert found["statuses"] == {"finished": 1, "queued": 1, "running": 2, "stale": 1, "unfinished": 1}
    assert found["num_missing"] == 5
    here, far = sorted(found["running"], key=lambda item: item["arm"] == "baseline")
    assert (here["arm"], here["seed"], here["step"], here["sweep_id"]) == ("treatment", 0, 10, "here")
    assert (here["host"], here["pid"], here["device"]) == (socket.gethostname(), 4711, "cpu")
    assert 29 < here["seconds_since_report"] < 60
    assert here["predicted_memory_mib"] == 300.5
    assert (far["host"], far["step"]) == (FAR, 0)
    assert 19 < far["seconds_since_report"] < 50, "since its start: it has not reported yet"
    assert {host["host"]: (host["num_running"], host["memory_mib"]) for host in found["hosts"]} == {
        FAR: (1, 300.5),
        socket.gethostname(): (1, 300.5),
    }
    drivers = {driver["sweep_id"]: driver for driver in found["drivers"]}
    assert set(drivers) == {"here", "far"}
    assert (drivers["far"]["host"], drivers["far"]["pid"]) == (FAR, 7)
    assert (drivers["here"]["pid"], drivers["here"]["host"]) == (os.getpid(), socket.gethostname())
    stale = {"config_id": config_id("treatment"), "seed": 1, "sweep_id": "dead"}
    assert found["stale_leases"] == [stale]


def test_for_people_it_says_the_same(shared: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared
    look(folder).print(Console(width=200, highlight=False))
    said = capsys.readouterr().out
    assert f"{FAR}: 1 running, 300 MiB predicted" in said
    assert f"at work: far, process 7 on {FAR}, for 1 min 40 s" in said
    assert f"stale lease: {config_id('treatment')} seed 1 of dead, which has died; the next run takes it" in said
    assert "5 to run" in said
