"""Metadata of a kit: every file with its hash, one action that made the journal, and what has changed since."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from sweeps.cli.evidence.crate import METADATA, Run, crate, damaged

RUN = Run(
    name="tiny @ smoke",
    version="0.1.0",
    commit="0123456789",
    started_at=1_780_000_000.0,
    ended_at=1_780_000_100.0,
    study="study/study.yaml",
    journal="journal.jsonl",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.yaml").write_text("study: tiny\n", encoding="utf-8")
    (tmp_path / "journal.jsonl").write_text("{}\n", encoding="utf-8")
    described = crate(tmp_path, {"journal.jsonl": "the journal"}, RUN)
    (tmp_path / METADATA).write_text(json.dumps(described), encoding="utf-8")
    return tmp_path


def test_every_reference_is_described_and_every_file_hashed(folder: Path) -> None:
    graph = json.loads((folder / METADATA).read_text(encoding="utf-8"))["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    root, action = entities["./"], entities["#sweep"]
    assert [part["@id"] for part in root["hasPart"]] == ["journal.jsonl", "study/study.yaml"]
    for value in (*root["hasPart"], action["instrument"], *action["object"], *action["result"]):
        assert value["@id"] in entities
    journal = entities["journal.jsonl"]
    assert journal["sha256"] == hashlib.sha256(b"{}\n").hexdigest()
    assert (journal["description"], journal["contentSize"]) == ("the journal", "3")
    assert (action["startTime"], action["@type"]) == ("2026-05-28T20:26:40+00:00", "CreateAction")


def test_what_is_gone_or_changed_is_named(folder: Path) -> None:
    assert damaged(folder) == []
    (folder / "journal.jsonl").write_text("{ }\n", encoding="utf-8")
    (folder / "study" / "study.yaml").unlink()
    assert damaged(folder) == ["journal.jsonl", "study/study.yaml"]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"@graph": [{"@type": "File"}]}'])
def test_another_folder_is_no_kit(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / METADATA).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="no metadata of a kit"):
        damaged(tmp_path)
