"""What a plan says of cards: how many of each kind, and what limits the trials on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.studies import write_study
from tests.verbs import caller


def lines_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gpus: str
) -> list[str]:
    write_study(folder)
    said = caller(folder, monkeypatch, capsys)("plan", "tiny.yaml", "--gpus", gpus)
    assert said.code == 0, said.err
    return [line.partition("; ")[2] for line in said.out.splitlines() if " run at a time on " in line]


def test_cards_are_counted_kind_by_kind_and_cores_named_where_they_are_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    large, small = lines_of(tmp_path, monkeypatch, capsys, "4x94.5GiB,2x24GiB")
    assert large == "256 run at a time on 4 x 94.5 GiB, as many as there are cores for"
    assert small.endswith(" run at a time on 2 x 24 GiB")
