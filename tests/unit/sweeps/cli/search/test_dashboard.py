"""`ui --optuna`: what optuna-dashboard is given to show, and what is said without it."""

from __future__ import annotations

import importlib.util
import socket
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import pytest

from tests.support.sweeps.verbs import Call, caller
from tests.unit.sweeps.cli.search.test_enqueue import searching


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what optuna-dashboard's `run_server`, in whose place a list stands, is called with."""
    calls: list[dict[str, Any]] = []
    module = ModuleType("optuna_dashboard")
    module.__spec__ = ModuleSpec("optuna_dashboard", None)
    vars(module)["run_server"] = lambda storage, **named: calls.append({"storage": storage, **named})
    monkeypatch.setitem(sys.modules, "optuna_dashboard", module)
    return calls


def test_the_dashboard_is_given_the_search_on_loopback(
    call: Call, tmp_path: Path, served: list[dict[str, Any]]
) -> None:
    searching(tmp_path, is_over=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = call("ui", "tiny.yaml", "--optuna", "--port", str(port)).out
    (given,) = served
    assert (given["host"], given["port"]) == ("127.0.0.1", port)
    study = optuna.load_study(study_name="tiny@laptop kuramoto", storage=given["storage"])
    assert study.best_trial.user_attrs["candidate"] == "kuramoto#1"
    assert f"http://127.0.0.1:{port}/dashboard/" in said and "reaches no search" in said


def test_without_it_the_command_that_installs_it_is_named(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching(tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "optuna_dashboard" else find(name, *rest)
    )
    called = call("ui", "tiny.yaml", "--optuna")
    said = called.err
    assert called.code == 2
    assert f"{sys.executable} -m pip install optuna-dashboard" in said


def test_a_study_must_be_named(call: Call, served: list[dict[str, Any]]) -> None:
    assert "name the study" in call("ui", "--optuna").err
    assert not served
