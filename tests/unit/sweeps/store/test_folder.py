"""What marks a folder as a study's results is on disk before anything relies on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeps.store.folder import ResultsFolder
from sweeps.studies.resolve import load_study
from tests.support.sweeps.studies import write_study


def test_the_marker_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power loss an empty study.yaml would make every verb refuse the folder."""
    synced: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    study = load_study(str(write_study(tmp_path)), "laptop", [])
    folder = ResultsFolder.of(tmp_path / "results", study.name, study.results_key)
    folder.prepare(study.resolved(), study.plugin_texts)
    marker, parent, file, _ = synced
    assert marker.startswith(".results.json.") and file.startswith(".study.yaml.") and parent == folder.path.name
    assert ResultsFolder.of(tmp_path / "results", study.name, study.results_key) == folder
