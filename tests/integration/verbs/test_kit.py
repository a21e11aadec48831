"""A kit verifies itself: the same machine gives the same bits, and a number that was changed is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeps.cli.evidence.crate import METADATA
from sweeps.cli.evidence.expected import EXPECTED, Expected
from tests.support.sweeps.finished_sweep import STUDY, FinishedSweep
from tests.support.sweeps.studies import phasesweep


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_equal_bits_here_and_another_number_is_found(finished: FinishedSweep, tmp_path: Path) -> None:
    folder = finished.copy_to(tmp_path / "sweep")
    assert phasesweep(["kit", *STUDY, "--to", "kit"], folder).returncode == 0
    done = phasesweep(["kit", "verify", "kit", "--exact"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal: all" in done.stdout

    expected = Expected.read(folder / "kit").to_json()
    expected["metrics"][expected["primary_metric"]] += 1e-6
    (folder / "kit" / EXPECTED).write_text(json.dumps(expected), encoding="utf-8")
    described = json.loads((folder / "kit" / METADATA).read_text(encoding="utf-8"))
    described["@graph"] = [entity for entity in described["@graph"] if entity["@id"] != EXPECTED]
    (folder / "kit" / METADATA).write_text(json.dumps(described), encoding="utf-8")
    done = phasesweep(["kit", "verify", "kit"], folder)
    assert done.returncode == 1
    assert "different: " in done.stdout and "although the numerics are the same" in done.stdout
