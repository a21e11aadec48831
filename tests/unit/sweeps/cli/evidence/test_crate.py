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
    code="code.json",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.yaml").write_text("study: tiny\n", encoding="utf-8")
    (tmp_path / "journal.jsonl").write_text("{}\n", encoding="utf-8")
    (tmp_path / "code.json").write_text("{}\n", encoding="utf-8")
    described = crate(tmp_path, {"journal.jsonl": "the journal"}, RUN)
    (tmp_path / METADATA).write_text(json.dumps(described), encoding="utf-8")
    return tmp_path


def test_every_reference_is_described_and_every_file_hashed(folder: Path) -> None:
    graph = json.loads((folder / METADATA).read_text(encoding="utf-8"))["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    root, action = entities["./"], entities["#sweep"]
    assert [part["@id"] for part in root["hasPart"]] == ["code.json", "journal.jsonl", "study/study.yaml"]
    named = [
        value
        for entity in graph
        for each in entity.values()
        for value in (each if isinstance(each, list) else [each])
    ]
    references = [value["@id"] for value in named if isinstance(value, dict)]
    assert len(references) > 10
    assert set(references) - entities.keys() == {"https://w3id.org/ro/crate/1.2"}, "the form itself needs no entity"
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


def test_the_metadata_keep_the_rules_that_a_validator_found_broken(folder: Path) -> None:
    """RO-Crate 1.2 and Process Run Crate 0.5: what rocrate-validator 0.13 found in an earlier kit."""
    graph = json.loads((folder / METADATA).read_text(encoding="utf-8"))["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    root, program = entities["./"], entities["#phasesweep"]
    assert "Profile" in entities[root["conformsTo"]["@id"]]["@type"]
    assert entities[root["license"]["@id"]]["@type"] == "CreativeWork"
    assert root["license"]["@id"].startswith("https://")
    assert program["@type"] == "SoftwareApplication" and program["url"]["@id"] in entities
    assert program["version"] == "0.1.0, commit 0123456789" and "softwareVersion" not in program
    alone = [
        key for entity in graph for key, value in entity.items() if isinstance(value, list) and len(value) == 1
    ]
    assert alone == [], "a single value is no list"
