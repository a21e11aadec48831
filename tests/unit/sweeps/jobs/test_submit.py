"""What `submit` refuses before it has asked any cluster, and what it sends."""

from __future__ import annotations

import http.server
import json
import shlex
import socket
import sys
import threading
from pathlib import Path

import pytest

from cluster.connection.jobs import JobEnd
from sweeps.cli import app as cli
from sweeps.errors import UserError
from sweeps.jobs.package import pack
from sweeps.jobs.submit import Order, exit_code, job_environment
from sweeps.store.folder import RAY_JOB_VARIABLE, results_root
from sweeps.store.provenance import SUBMITTED_FROM, git_state
from tests.support.sweeps.studies import write_study

SECRET = "6f1d2c-secret"


def call(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str, str]:
    """Call the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["phasesweep", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHASESWEEP_RESULTS", "/shared/results")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    code, out, err = call(["submit", "quickstart", "--address", address], monkeypatch, capsys)
    assert (code, out) == (2, "")
    assert f"cluster {address}: nothing answers" in err
    assert "--dashboard-host" in err


class _Another(http.server.BaseHTTPRequestHandler):
    """A server that is no job server."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *args: object) -> None:
        pass


def test_something_else_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PHASESWEEP_RESULTS", "/shared/results")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")  # put back afterwards: `submit` sets it, and the mode
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with http.server.HTTPServer(("127.0.0.1", 0), _Another) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        code, out, err = call(["submit", "quickstart", "--address", address], monkeypatch, capsys)
        server.shutdown()
        thread.join()
    assert (code, out) == (2, ""), err
    assert f"cluster {address}: " in err
    assert "Traceback" not in err


def test_a_job_gets_the_submitters_variables_and_no_secret() -> None:
    environ = {
        "PHASESWEEP_RESULTS": "/shared/results",
        "PHASESWEEP_DATA": "/shared/data",
        "MLFLOW_TRACKING_URI": "http://tracker:5000",
        "HF_HOME": "/shared/hub",
        "RAY_AUTH_TOKEN": SECRET,
        "RAY_AUTH_TOKEN_PATH": "/home/me/token",
        "HF_TOKEN": SECRET,
        "MLFLOW_TRACKING_TOKEN": SECRET,
        "PATH": "/home/me/bin",
    }
    sent = job_environment(environ)
    assert json.loads(sent.pop(SUBMITTED_FROM)) == git_state()
    assert int(sent.pop("RAY_JOB_STOP_WAIT_TIME_S")) > 30
    assert sent == {name: environ[name] for name in list(environ)[:4]}


def test_the_jobs_command_is_runs_with_the_same_options(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    plugin = tmp_path / "my family.py"
    plugin.touch()
    order = Order(
        study=str(study),
        scale="smoke",
        sets=("budget.steps=7", "seeds=[1, 2]"),
        max_hours=1.25,
        max_trials=3,
        plugins=(plugin,),
    )
    package = pack(order.study, order.plugins)
    command = shlex.split(order.job_command(package))
    assert command[:5] == ["python", "-m", "sweeps", "run", "brought/tiny.yaml"]
    options = [*command[5:], ""]
    assert options[options.index("--scale") + 1] == "smoke"
    assert [options[at + 1] for at, word in enumerate(options) if word == "--set"] == list(order.sets)
    assert options[options.index("--max-hours") + 1] == "1.25"
    assert options[options.index("--max-trials") + 1] == "3"
    assert options[options.index("--plugin") + 1] == "brought/plugin_0/my family.py"
    assert shlex.split(order.command_here("stop"))[:3] == ["phasesweep", "stop", str(study)]


def test_the_exit_code_is_the_sweeps_own() -> None:
    assert exit_code(JobEnd("succeeded", 0, "")) == 0
    assert exit_code(JobEnd("failed", 2, "")) == 2
    assert exit_code(JobEnd("failed", 130, "`phasesweep stop` ended it")) == 130
    assert exit_code(JobEnd("failed", None, "its environment could not be made")) == 1
    assert exit_code(JobEnd("stopped", None, "")) == 130


def test_in_a_job_results_must_be_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHASESWEEP_RESULTS", raising=False)
    assert results_root() == Path.cwd() / "results"
    monkeypatch.setenv(RAY_JOB_VARIABLE, "{}")
    with pytest.raises(UserError, match=r"not set.*ray job submit.*--runtime-env-json"):
        results_root()
    monkeypatch.setenv("PHASESWEEP_RESULTS", "results")
    with pytest.raises(UserError, match="PHASESWEEP_RESULTS=results is relative"):
        results_root()
    monkeypatch.setenv("PHASESWEEP_RESULTS", "/shared/results")
    assert results_root() == Path("/shared/results")
    from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

    assert RAY_JOB_VARIABLE == RAY_JOB_CONFIG_JSON_ENV_VAR
