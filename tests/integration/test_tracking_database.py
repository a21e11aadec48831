"""Where MLflow's database lies, and how its schema is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.tracking.tracker import default_tracking_uri, project
from tests.mlflow_contents import contents
from tests.tracked import EXPERIMENT


def test_a_missing_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no journal"):
        project(tmp_path / "journal", default_tracking_uri(tmp_path), EXPERIMENT)


def test_the_schema_is_made_once_and_quietly_by_two_at_a_time(tmp_path: Path) -> None:
    code = "import sys; from sweeps.tracking.tracker import prepare; prepare(sys.argv[1])"
    command = [sys.executable, "-c", code, default_tracking_uri(tmp_path / "results")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    said = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said == [b"", b""]
    assert contents(tmp_path / "results" / "mlflow.db") == {}


def test_default_tracking_uri_is_absolute_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_tracking_uri(Path("results")) == f"sqlite:///{tmp_path}/results/mlflow.db"
    assert default_tracking_uri(Path("results"), "http://server:5000") == "http://server:5000"
