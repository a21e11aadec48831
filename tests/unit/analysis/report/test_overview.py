"""The picture of all claims: a mark a test, with its data beside it."""

from __future__ import annotations

import csv
from pathlib import Path

from analysis.report.overview import overview
from tests.unit.analysis.report.pages.test_claims import IDS, verdicts


def test_every_test_is_a_row_of_its_data(tmp_path: Path) -> None:
    figure, data = overview(verdicts(), tmp_path / "claims.svg")
    again, _ = overview(verdicts(), tmp_path / "again.svg")
    assert figure.read_bytes() == again.read_bytes()
    with data.open(encoding="utf-8") as stream:
        rows = [*csv.DictReader(stream)]
    assert [row["claim"] for row in rows] == IDS
    assert [row["verdict"] for row in rows].count("not run") == 46
    assert rows[0]["study"] == "kuramoto_phase_a"
