"""README and the committed results: what the page shows is what the journals say, and the control is a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.records.journal import read_journal
from analysis.report.publish import main
from analysis.results.arms import summarise
from tests.support.sweeps.guides import ROOT

PHASE_A = sorted((ROOT / "docs" / "results").glob("kuramoto_phase_a*.jsonl"))


def test_readme_is_built_from_the_committed_journals(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["readme", "--check", "--root", str(ROOT)])
    said = capsys.readouterr()
    assert code == 0, f"run `make docs`: {said.out}{said.err}"


@pytest.mark.parametrize("journal", PHASE_A, ids=lambda path: path.stem)
def test_the_control_beats_a_trigram_so_that_a_difference_to_it_means_something(journal: Path) -> None:
    table = summarise(read_journal(journal))
    trigrams = [score for name, score in table.references.items() if name.startswith("3-gram")]
    assert len(trigrams) == 1
    assert table.direction == "minimise"
    assert table.baseline is not None
    assert table.baseline.ci_high is not None
    assert table.baseline.ci_high < trigrams[0]
