"""Numbers in prose: what is wrong is found, what is right or no statement is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.reported.prose import UnreadableFileError, lint, read_prose
from tests.support.sweeps.guides import ROOT


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Top-5 hit rate: 0.186 (37/200)", "count"),
        ("It finds 18.6 % (37 of 200) of them.", "count"),
        ("It finds 37 of 200 (18.6 %).", "count"),
        ("perplexity fell from 2488 to 1607 (29.7 %)", "relative_change"),
        ("an improvement of 29.7 % (2,488 → 1,607)", "relative_change"),
        ("a mean of 3.22 [2.993, 3.209]", "within_interval"),
        ("| `arm` | 3.22 | [2.993, 3.209] | 3 |", "within_interval"),
        ("n = 3: mean 1650, sd 120, min 1550, max 1890", "mean_in_range"),
        ("they differ, t(4) = 2.00, p = .012", "p_of_t"),
        ("they differ, t(4) = 2.00, p\n< .05", "p_of_t"),
        ("print(f'{np.std(ppls):.1f}')", "sample_deviation"),
    ],
)
def test_a_slip_is_found(text: str, rule: str) -> None:
    found = lint(f"# Title\n\n{text}\n", "page.md")
    assert [(one.rule, one.line, one.document) for one in found.findings] == [(rule, 3, "page.md")]


@pytest.mark.parametrize(
    "text",
    [
        "Top-5 hit rate: 0.185 (37/200)",
        "perplexity fell from 2488 to 1607 (35.4 %)",
        "a mean of 3.101 [2.993, 3.209]",
        "n = 3: mean 1664, sd 190, min 1550, max 1890",
        "they differ, t(4) = 2.00, p = .116",
        "np.std(ppls, ddof=1)",
    ],
)
def test_what_is_right_is_checked_and_silent(text: str) -> None:
    found = lint(text, "page.md")
    assert (found.num_checks, found.findings) == (1, ())


@pytest.mark.parametrize(
    "text",
    ["layers [6, 7] and 4", "2 (of 0)", "5 (3/0)", "steps 0, 100 and 500", "t(4) is a function", "np.std is wrong"],
)
def test_what_is_no_statement_is_not_checked(text: str) -> None:
    assert lint(text, "page.md").findings == ()


def test_our_own_pages_have_statements_and_no_slip() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [read_prose(page) for page in pages]
    assert sum(one.num_checks for one in found) > 150
    assert [finding for one in found for finding in one.findings] == []


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableFileError, match=r"page.md: cannot be read"):
        read_prose(path)
