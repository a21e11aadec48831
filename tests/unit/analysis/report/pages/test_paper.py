"""Tables and figures for a paper: LaTeX that needs no more than booktabs, the same cells as everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.records.journal import merge, read_journal
from analysis.report.pages.paper import PaperTable, latex_text, paper_tables, write_paper
from analysis.report.tables import rows_for_display
from analysis.results.arms import summarise
from analysis.verdicts.judge import judge_all
from tests.support.sweeps.guides import ROOT
from tests.support.sweeps.journals import journal_events

JOURNALS = sorted((ROOT / "docs" / "results").glob("*.jsonl"))


def check_latex(text: str, num_rows: int) -> None:
    """Check what a compiler would refuse: letters it lacks, open braces, odd dollars, rows of unequal length."""
    assert text.isascii()
    bare = re.sub(r"\\[&%$#_{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"),
        ("begin", "tabular"),
        ("end", "tabular"),
        ("end", "table"),
    ]
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    rows = [line for line in bare.splitlines() if line.endswith(r"\\")]
    assert len(rows) == num_rows + 1
    assert {row.count("&") for row in rows} == {len(columns) - 1}
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_tables_of_every_committed_journal_are_latex(path: Path) -> None:
    state = read_journal(path)
    verdicts = judge_all(state)
    table = summarise(state)
    sizes = {"results": len(table.rows), "contrasts": len(table.contrasts), "verdicts": len(verdicts)}
    found = {each.name: each for each in paper_tables(table, verdicts)}
    assert list(found) == [name for name, num_rows in sizes.items() if num_rows]
    for name, each in found.items():
        check_latex(each.latex(), sizes[name])


def test_cells_are_those_of_the_table() -> None:
    table = summarise(merge(journal_events({"baseline": 2.5, "treat_ment": 2.4})))
    (results,) = paper_tables(table, [])
    _, rows = rows_for_display(table)
    for row in rows:
        assert " & ".join(map(latex_text, row)) in results.latex()
    assert "treat\\_ment" in results.latex()
    assert "| `treat_ment` |" in results.markdown()


def test_without_curves_it_says_why(tmp_path: Path) -> None:
    (path,) = (path for path in JOURNALS if path.stem == "pi_spiral_diagnostics")
    paper = write_paper(read_journal(path), [], tmp_path)
    (reason,) = paper.missing
    assert reason.startswith("no curves: no arm of 'pi_spiral_diagnostics' reports")
    assert {file.suffix for file in paper.files} == {".md", ".tex", ".pdf", ".csv"}
    for figure in (file for file in paper.files if file.suffix == ".pdf"):
        assert figure.read_bytes().startswith(b"%PDF-")
        assert figure.with_suffix(".csv") in paper.files


def test_special_characters_are_text() -> None:
    assert latex_text("50 % of K_1 & {x} #2 a\\b") == r"50 \% of K\_1 \& \{x\} \#2 a\textbackslash{}b"
    assert latex_text("Δ −.03 ± .01, χ² < 5") == r"$\Delta$ $-$.03 $\pm$ .01, $\chi$$^2$ $<$ 5"
    table = PaperTable("t", "a_b", ["x|y", "ω"], [["1", "2"]], [False, True], ["n ≥ 3"])
    check_latex(table.latex(), 1)
    assert "n $\\geq$ 3." in table.latex()
