"""The verb `lint`: exit codes, what it prints, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sweeps.verbs import Call

RIGHT, WRONG = "It finds 18.5 % (37 of 200).\n", "It finds 18.6 % (37 of 200).\n"


def test_without_a_file_the_four_documents_are_checked(call: Call) -> None:
    called = call("lint")
    assert called.code == 1
    assert "resonant_usage.txt:967: count: 37/200 is 0.185, not 0.186" in called.out
    assert called.out.splitlines()[-1] == "4 documents, 25 statements checked: 16 findings"
    printed = call("lint", "--json").json("lint")
    assert [len(one["findings"]) for one in printed["documents"]] == [3, 4, 7, 2]


def test_files_folders_and_records_are_read(call: Call, tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "right.md").write_text(RIGHT, encoding="utf-8")
    assert (call("lint", "pages").code, call("lint", "pages").out) == (
        0,
        "1 document, 1 statements checked: no findings\n",
    )
    (tmp_path / "wrong.txt").write_text(WRONG, encoding="utf-8")
    called = call("lint", "pages", "wrong.txt")
    assert called.code == 1
    assert "wrong.txt:1: count: 37/200 is 0.185, not 18.6 %" in called.out
    record = 'numbers: {rate: {value: "0.186", line: 9}}\nchecks: [{rule: count, rate: rate, items: 200}]\n'
    (tmp_path / "own.yaml").write_text(record, encoding="utf-8")
    assert "own.yaml:9: count: 0.186 is no rate of 200 items" in call("lint", "own.yaml").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.md"], "lint none.md: no such file"),
        (["."], "no .md file in this folder"),
        (["page.pdf"], "the name must end in .md, .txt, .yaml, .yml"),
        (["bad.yaml"], "bad.yaml: check 1: rule: unknown 'x'"),
    ],
)
def test_a_mistake_is_one_line(call: Call, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "page.pdf").write_text("", encoding="utf-8")
    (tmp_path / "bad.yaml").write_text("checks: [{rule: x}]\n", encoding="utf-8")
    called = call("lint", *arguments)
    assert called.code == 2
    assert message in called.err
    assert len(called.err.splitlines()) == 1
