"""`diagnose` of encodings: the table, its JSON, and the files it writes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.support.sweeps.verbs import Call, caller
from trainables.diagnostics.closed_forms import ENCODINGS


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_encoding_is_diagnosed(call: Call) -> None:
    found = call("diagnose", "--positions", "1200", "--width", "8", "--json").json("diagnose")["encodings"]
    assert [each["encoding"] for each in found] == list(ENCODINGS)
    pi = found[0]
    assert (pi["recurrence_lag"], pi["rank"], pi["gaps"]["num_different"]) == (113, 2, 3)
    assert {each["num_positions"] for each in found} == {1200}


def test_the_table_says_what_its_columns_mean(call: Call) -> None:
    said = call("diagnose", "--encoding", "pi", "--encoding", "alibi", "--positions", "2000")
    assert said.code == 0
    lines = said.out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("encoding"))
    assert [line.split()[0] for line in lines[first : first + 3]] == ["encoding", "pi", "alibi"]
    assert "113" in lines[first + 1].split()
    assert lines[first + 2].split().count("–") == 6
    assert "over the first 2,000 positions, vectors of width 64" in said.out


def test_tables_and_figures_are_written(call: Call, tmp_path: Path) -> None:
    chosen = ("--encoding", "pi", "--encoding", "rope", "--encoding", "alibi")
    said = call("diagnose", *chosen, "--positions", "1500", "--width", "8", "--to", "out/here")
    folder = tmp_path / "out" / "here"
    written = {path.name for path in folder.iterdir()}
    figures = {"similarity", "spectrum", "discrepancy"}
    assert written == {f"{name}{suffix}" for name in figures for suffix in (".svg", ".csv")} | {
        "offsets.csv",
        "positional_diag.csv",
    }
    assert all(str(Path("out/here") / name) in said.out for name in written)
    by_encoding = {row["encoding"] for row in rows(folder / "similarity.csv")}
    assert by_encoding == {"pi", "rope", "alibi"}
    assert {row["encoding"] for row in rows(folder / "spectrum.csv")} == {"pi", "rope"}
    assert {row["encoding"] for row in rows(folder / "discrepancy.csv")} == {"pi"}


def test_the_published_file_has_its_columns_and_the_numbers_that_are_right(call: Call, tmp_path: Path) -> None:
    call("diagnose", "--encoding", "none", "--positions", "10", "--to", "out", "--figures", "png")
    table = rows(tmp_path / "out" / "positional_diag.csv")
    assert list(table[0]) == ["offset", "cosine_sim_pi_spiral", "cosine_sim_rope"]
    found = {int(row["offset"]): float(row["cosine_sim_pi_spiral"]) for row in table}
    # The published sample, .023 at 1,000 and .012 at 5,000, cannot occur.
    assert (found[1000], found[5000]) == (pytest.approx(-0.835, abs=1e-3), pytest.approx(0.973, abs=1e-3))
    assert (tmp_path / "out" / "similarity.png").is_file()
    assert not (tmp_path / "out" / "discrepancy.png").exists()
