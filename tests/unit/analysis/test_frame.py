"""`analysis.load`: a tidy frame of a journal, of a results folder, of a study by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import analysis
from analysis.records.description import JournalError
from analysis.records.journal import read_journal
from analysis.results.arms import summarise
from tests.support.sweeps.guides import ROOT
from tests.support.sweeps.journals import METRIC, journal_events, write_journal


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path))
    events = journal_events({"baseline": 2.5, "other": 2.4}, seeds=range(3), statuses={("other", 2): "diverged"})
    write_journal(tmp_path / "tiny" / "laptop" / "journal" / "a.jsonl", events)
    return tmp_path


def test_a_row_a_replicate_failures_too(results: Path) -> None:
    for source in ("tiny", results / "tiny" / "laptop", results / "tiny" / "laptop" / "journal" / "a.jsonl"):
        frame = analysis.load(source)
        assert len(frame) == 6
        assert frame["status"].tolist().count("diverged") == 1
        assert list(frame.columns[:7]) == ["study", "scale", "arm", "config_id", "seed", "status", "planned"]
        assert frame[METRIC].notna().sum() == 5
        assert frame["architecture.variant"].dropna().unique().tolist() == ["other"]


def test_a_row_a_report_and_a_row_an_arm(results: Path) -> None:
    curves = analysis.load("tiny", "curves")
    assert len(curves) == 5 * 6 + 3
    assert curves.groupby(["arm", "seed"])["step"].is_monotonic_increasing.all()
    arms = analysis.load("tiny", "configurations").set_index("arm")
    assert arms.loc["other", "n_failed"] == 1
    assert arms.loc["other", f"{METRIC}.n"] == 2


def test_what_is_not_there_is_said(results: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no results at elsewhere"):
        analysis.load("elsewhere")
    with pytest.raises(ValueError, match="did you mean 'curves'"):
        analysis.load("tiny", "curve")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="of MLflow only a server is read"):
        analysis.load("sqlite:///results/mlflow.db")
    empty = write_journal(tmp_path / "empty.jsonl", [])
    with pytest.raises(JournalError, match="describes no sweep"):
        analysis.load(empty)


def test_the_example_runs_as_it_stands() -> None:
    script = ROOT / "docs" / "examples" / "analyse.py"
    environment = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "PATH": ""}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    table = summarise(read_journal(ROOT / "docs" / "results" / "kuramoto_phase_a.jsonl"))
    (row,) = (row for row in table.rows if row.arm == "L7_N32_K1")
    bounds = [round(bound, 4) for bound in (row.delta_ci_low, row.delta_ci_high) if bound is not None]
    assert f"95 % interval of the difference: {bounds}" in done.stdout
