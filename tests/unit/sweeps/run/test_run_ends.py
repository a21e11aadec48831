"""What `run` says and returns when not a replicate fails but the run itself. Ray is not started; MLflow is real."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analysis.records.description import JournalError
from cluster.connection.session import RayFailure
from sweeps.cli.run import run
from sweeps.run.limits import RunLimits
from tests.integration.studies import write_study

Command = Callable[[], tuple[int, str]]


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a database for all tests here: to make one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str) -> Command:
    """Return a function that runs a small study and returns the exit code and what was printed."""
    study = write_study(tmp_path, seeds=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    for name in ("RAY_ADDRESS", "PHASESWEEP_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run_it() -> tuple[int, str]:
        said = io.StringIO()
        console = Console(file=said, soft_wrap=True)
        return run(console, None, str(study), "laptop", [], limits=RunLimits()), said.getvalue()

    return run_it


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (ValueError("Tune has changed its mind"), 1),
        (RayFailure("Ray's head has died"), 130),
    ],
)
def test_a_failure_of_the_run_is_no_interruption_but_the_death_of_ray_is(
    error: Exception, exit_code: int, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def broken(*arguments: Any, **options: Any) -> Iterator[None]:
        raise error
        yield

    monkeypatch.setattr("sweeps.run.engine.ray_session", broken)
    code, said = command()
    assert code == exit_code, said
    log = tmp_path / "results" / "tiny" / "laptop" / "driver.log"
    assert f"stopped: the run failed: {error} (more in {log})" in said
    assert "2 of 2 replicates are left; continue with: " in said
    assert f"{type(error).__name__}: {error}" in log.read_text(encoding="utf-8")


def test_a_journal_that_is_damaged_while_something_runs_is_no_mistake_of_the_user(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal = tmp_path / "results" / "tiny" / "laptop" / "journal"

    def damage(engine: Any, address: str | None) -> None:
        (journal / "zzz.jsonl").write_text("{\n{\n", encoding="utf-8")

    monkeypatch.setattr("sweeps.run.engine._Engine.run", damage)
    code, said = command()
    assert code == 1, said
    assert re.search(r"its journal cannot be read: .*zzz\.jsonl, after byte 0: not JSON", said), said
    assert "once it is mended, continue with: " in said
    with pytest.raises(JournalError):
        command()  # nothing has started this time
