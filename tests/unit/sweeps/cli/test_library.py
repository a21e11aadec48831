"""`studies` lists what study files say, and never less than there is."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from sweeps.cli.library import claims, declared_claims, studies
from sweeps.cli.schemas.generate import load_schema
from sweeps.console import Output
from sweeps.errors import UserError
from sweeps.fields import SCALES
from sweeps.studies.catalogue import StudyHead, library
from sweeps.studies.resolve import load_study


def test_the_listing_says_what_resolving_says() -> None:
    printed: list[Any] = []
    studies(Output(Console(file=StringIO()), printed.append))
    (rows,) = printed
    jsonschema.validate(rows, load_schema("studies"))
    of_library = {row["study"]: row for row in rows if row["package"] is None}
    assert set(of_library) == set(library())
    for name, row in of_library.items():
        study = load_study(name)
        assert (row["title"], row["scales"]) == (study.title, list(SCALES))
        exact = study.grid is None
        assert row["num_arms"] == (len(study.arms) if exact else None)
        assert row["max_arms"] >= len(study.arms) and (row["max_arms"] == len(study.arms) or not exact)


def test_for_people_a_grid_has_at_most_so_many_arms() -> None:
    console = Console(file=StringIO(), width=300)
    studies(Output(console))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert next(line for line in lines if line.startswith("kuramoto_corrected ")).split()[1:3] == ["≤", "62"]
    assert next(line for line in lines if line.startswith("quickstart ")).split()[1] == "4"


def test_claims_say_what_judges_them_and_from_what() -> None:
    console = Console(file=StringIO(), width=300)
    claims(Output(console), "tpi_recall", "laptop")
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "phasesweep verdicts tpi_recall --scale SCALE" in printed
    assert "phasesweep results tpi_recall --scale SCALE" in printed
    assert "phasesweep compare tpi_recall@SCALE:ARM :CONTROL" in printed


@pytest.mark.parametrize("name", library())
def test_declared_claims_are_those_of_the_resolved_study_but_for_patterns(name: str) -> None:
    declared, resolved = declared_claims(StudyHead.read(library()[name])), load_study(name).claims
    for one, other in zip(declared, resolved, strict=True):
        assert (one.id, one.kind, one.margin, one.bound, one.over) == (
            other.id,
            other.kind,
            other.margin,
            other.bound,
            other.over,
        )
        assert len(one.arms) <= len(other.arms)


def test_a_claim_that_is_not_whole_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("study: mine\nclaims:\n  C1:\n    kind: superiority\n    sattled_at: gpu\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine.yaml:5: claim 'C1': sattled_at: unknown key; did you mean"):
        declared_claims(StudyHead.read(path))
