"""Configurations with `fidelity: as_published` give what the authors' own modules gave."""

from __future__ import annotations

import pytest

from tests.parity import __main__ as table
from tests.parity.row import Family, Row
from tests.parity.rows import FAMILIES


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.what) for family in FAMILIES.values() for row in family.rows]
)
def test_as_published_is_as_published(row: Row) -> None:
    differences = row.measure()
    assert row.agrees(differences), differences


@pytest.mark.parametrize(("measured", "status"), [(0.25, 0), (0.75, 1)])
def test_a_row_is_printed_with_its_limit_under_its_family(
    measured: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row(what="a block", measure=lambda: {"out": measured}, tolerance=0.5, statistic="standard errors")
    one = Family(published="theirs@1234567", rows=(row,), nothing_to_compare=("a lattice: not public",))
    monkeypatch.setattr(
        table, "FAMILIES", {"one": one, "other": Family(published="", rows=(), nothing_to_compare=())}
    )
    assert table.main(["--family", "one"]) == status
    printed = capsys.readouterr().out.splitlines()
    start = printed.index("one, beside theirs@1234567")
    sign, verdict = ("<=", "agrees ") if status == 0 else (">", "DIFFERS")
    assert printed[start + 1 : start + 3] == [
        f"  {verdict}  a block [in standard errors]: out {measured} {sign} 0.5",
        "  nothing to compare with  a lattice: not public",
    ]
    assert not any(line.startswith("other") for line in printed)
