"""A study with results, for tests of its kit."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sweeps.store.folder import ResultsFolder
from sweeps.studies.resolve import load_study
from tests.support.sweeps.journals import journal_events
from tests.support.sweeps.verbs import Call, caller, write_results

STUDY = ("tiny.yaml", "--scale", "smoke")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


@pytest.fixture
def results(tmp_path: Path) -> ResultsFolder:
    """Results of the study `tiny` as it is now."""
    written = write_results(tmp_path, journal_events({"transformer": 2.5, "kuramoto": 2.4}), scale="smoke")
    resolved = load_study(str(tmp_path / "tiny.yaml"), "smoke", ()).resolved()
    (written.path / "study.yaml").write_text(yaml.safe_dump(resolved), encoding="utf-8")
    return written
