"""`stop` reaches drivers through the folder that they share, and waits for their end."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from sweeps.cli.drivers import stop as verb
from sweeps.cli.schemas.generate import load_schema
from sweeps.console import Output
from sweeps.store import leases as leases_module
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import ReplicateLeases
from sweeps.studies.catalogue import StudyArguments
from sweeps.studies.resolve import load_study
from tests.support.sweeps.studies import write_study


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultsFolder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(leases_module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(verb, "WAIT_SECONDS", 2.0)
    monkeypatch.setattr(verb, "_LOOK_AGAIN_SECONDS", 0.05)
    study = load_study(str(write_study(tmp_path)), "laptop", [])
    made = ResultsFolder.of(tmp_path / "results", study.name, study.results_key)
    made.prepare(study.resolved(), study.plugin_texts)
    return made


def stop() -> tuple[int, dict[str, Any]]:
    printed: list[Any] = []
    code = verb.stop(Output(Console(), printed.append), StudyArguments("tiny.yaml"))
    (found,) = json.loads(json.dumps(printed))
    jsonschema.validate(found, load_schema("stop"))
    return code, found


def test_nothing_at_work_is_no_error(folder: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = stop()
    assert (code, found["drivers"]) == (0, [])
    assert verb.stop(Output(Console()), StudyArguments("tiny.yaml")) == 0
    assert "nothing is at work on tiny@laptop" in capsys.readouterr().out


def test_a_driver_hears_who_asks_and_its_end_is_seen(folder: ResultsFolder) -> None:
    asked: list[str] = []
    heard, may_work = threading.Event(), threading.Event()

    def hear(by: str) -> None:
        asked.append(by)
        heard.set()

    def work() -> None:
        with ReplicateLeases(folder.leases, "a", on_stop=hear):
            may_work.set()
            heard.wait(30)

    driver = threading.Thread(target=work)
    driver.start()
    assert may_work.wait(30)
    code, found = stop()
    driver.join()
    assert code == 0
    (told,) = found["drivers"]
    assert told["sweep_id"] == "a" and told["stopped"] and told["seconds"] < 2.0
    assert len(asked) == 1 and asked[0].startswith("`phasesweep stop` of ")
    assert not {path.name for path in folder.leases.iterdir()} - {"lock"}, "nothing is left of driver and request"


def test_a_driver_that_goes_on_is_told_of(folder: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []
    with ReplicateLeases(folder.leases, "a", on_stop=asked.append):
        code, found = stop()
        assert verb.stop(Output(Console(width=200)), StudyArguments("tiny.yaml")) == 1
    assert code == 1
    assert [(d["stopped"], d["seconds"]) for d in found["drivers"]] == [(False, None)]
    assert len(asked) == 1, "it hears the request once"
    assert "still at work after 2 s: a, process" in capsys.readouterr().out
