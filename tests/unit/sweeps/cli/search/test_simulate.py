"""The verb `simulate`: what it draws is what it prints, and what it cannot draw it says."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from tests.support.sweeps.verbs import caller


def test_regret_is_drawn_with_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = caller(tmp_path, monkeypatch, capsys)
    verb = ("simulate", "quickstart_search", "--set", "search.method=sobol", "--searches", "3")
    found = call(*verb, "--figure", "regret.svg", "--json").json("simulate")
    drawn = list(csv.DictReader((tmp_path / "regret.csv").read_text(encoding="utf-8").splitlines()))
    assert (tmp_path / "regret.svg").read_text(encoding="utf-8").startswith("<?xml")
    points = [(row["strategy"], point["median"]) for row in found["rows"] for point in row["curve"]]
    assert [(row["strategy"], float(row["regret_median"] or "nan")) for row in drawn] == [
        (name, pytest.approx(math.nan if median is None else median, rel=1e-5, nan_ok=True))
        for name, median in points
    ]
    refused = call(*verb, "--world", "null", "--figure", "regret.svg")
    assert refused.code == 2 and "--world null: no search has any regret" in refused.err
    assert "--figure regret.jpg: the name must end in" in call(*verb, "--figure", "regret.jpg").err
