"""`report`: the page of results, of a compact journal, of all claims; where it is written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sweeps.verbs import Call
from tests.unit.analysis.report.pages.html_checks import check_page
from tests.unit.sweeps.cli.evidence.test_verdicts import NEEDLE, results_of_needle

JOURNALS = NEEDLE.parent
ROOT = JOURNALS.parents[1]
FIGURES = ROOT / "docs" / "figures"


def test_of_results_it_lies_in_their_folder_and_the_page_of_claims_links_it(call: Call, tmp_path: Path) -> None:
    results_of_needle(tmp_path)
    printed = call("report", "resonant_needle", "--json").json("report")
    path = tmp_path / "results" / "resonant_needle" / "laptop" / "report" / "report.html"
    assert (printed["path"], printed["study"], printed["scale"]) == (str(path), "resonant_needle", "laptop")
    text = path.read_text(encoding="utf-8")
    assert printed["bytes"] == len(text.encode())
    check_page(text, 1_000_000)
    assert "phasesweep verdicts resonant_needle --scale laptop" in text

    of_all = call("report", "--json").json("report")
    assert of_all["path"] == str(tmp_path / "results" / "claims.html")
    page = check_page(Path(of_all["path"]).read_text(encoding="utf-8"), 2_000_000)
    assert "resonant_needle/laptop/report/report.html" in page.addresses
    declared = call("claims", "--json").json("claims")
    assert of_all["claims"] == len(declared)


def test_of_a_journal_it_lies_here(call: Call, tmp_path: Path) -> None:
    done = call("report", str(NEEDLE))
    assert done.code == 0
    assert done.out.startswith("3 claims: 3 refuted")
    check_page((tmp_path / "resonant_needle.html").read_text(encoding="utf-8"), 1_000_000)


def test_a_paper_has_tables_and_figures(call: Call, tmp_path: Path) -> None:
    printed = call("report", str(NEEDLE), "--paper", "paper", "--json").json("report")
    names = [f"{name}{suffix}" for name in ("results", "contrasts", "verdicts") for suffix in (".md", ".tex")]
    names += [f"{name}{suffix}" for name in ("forest", "arms", "curves") for suffix in (".pdf", ".csv")]
    assert printed["paper"] == [str(tmp_path / "paper" / name) for name in names]
    assert (tmp_path / "paper" / "forest.pdf").read_bytes().startswith(b"%PDF-")


def test_before_a_run_nothing_is_written(call: Call, tmp_path: Path) -> None:
    done = call("report", "resonant_needle", "--to", "page.html")
    assert (done.code, done.out) == (2, "")
    assert "no results in" in done.err and "run resonant_needle" in done.err
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "--to", "page.pdf"), "must end in .html"),
        (("report", "--figure", "claims.gif"), "must end in .svg, .png or .pdf"),
        (("report", "--journals", "."), "no .jsonl files there"),
        (("report", "resonant_needle", "--journals", "."), "leave out the study"),
        (("report", "--set", "budget.steps=5"), "name the study"),
        (("report", "nowhere.jsonl"), "no such journal"),
        (("report", "--paper", "paper"), "--paper writes tables and figures of one study: name the study"),
        (("report", str(NEEDLE), "--paper", "taken/paper"), "--paper taken/paper: cannot be written"),
    ],
)
def test_mistakes_are_one_line(call: Call, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err and done.err.count("\n") == 1


def test_the_committed_page_of_all_claims_is_that_of_the_committed_journals(call: Call, tmp_path: Path) -> None:
    call("report", "--journals", str(JOURNALS), "--to", "claims.html", "--figure", "claims.svg")
    for name, committed in (("claims.html", ROOT / "docs"), ("claims.svg", FIGURES), ("claims.csv", FIGURES)):
        assert (tmp_path / name).read_bytes() == (committed / name).read_bytes(), f"{name}: run make docs"
    check_page((ROOT / "docs" / "claims.html").read_text(encoding="utf-8"), 2_000_000)
