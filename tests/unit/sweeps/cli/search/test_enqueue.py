"""`enqueue`: a point for a search that runs is checked, written, and proposed next."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from sweeps.cli.schemas.generate import load_schema
from sweeps.store.enqueued import enqueued
from tests.support.sweeps.search_journal import search_events
from tests.support.sweeps.studies import STUDY
from tests.support.sweeps.verbs import Call, caller, write_results

SECTION = """\
space: {fields: {architecture.coupling: {real: [0.0, 4.0]}, optimizer.learning_rate: {log: [1e-4, 1e-2]}}}
search: {arms: [kuramoto]}
scheduler: {seeds: 2, first: 0.5}
scales:
"""
TRY = ("enqueue", "tiny.yaml", "--try", "architecture.coupling=3")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def searching(folder: Path, *, is_over: bool = False) -> Path:
    """Write results of a search; return their folder."""
    events = [event for event in search_events() if is_over or event["event"] != "selected"]
    results = write_results(folder, events)
    study = STUDY.format(seeds=2, steps=20, report_every=10).replace("scales:\n", SECTION)
    (folder / "tiny.yaml").write_text(study, encoding="utf-8")
    return results.path


def test_a_point_is_written_with_the_arm_s_own_values(call: Call, tmp_path: Path) -> None:
    results = searching(tmp_path)
    said = json.loads(call(*TRY, "--json").out)
    jsonschema.Draft202012Validator(load_schema("enqueue")).validate(said)
    point = {"architecture.coupling": 3, "optimizer.learning_rate": 3e-3}
    assert said["point"] == point
    assert enqueued(results) == [("kuramoto", point)]
    assert "kuramoto: coupling=3" in call(*TRY).out.replace("architecture.", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--try", "architecture.couplin=3"), "did you mean 'architecture.coupling'?"),
        (("--try", "architecture.coupling=9"), "not a point of the space of arm 'kuramoto'"),
        (("--try", "architecture.coupling"), "write FIELD=VALUE"),
        (("--try", "architecture.coupling=1", "--arm", "kuramotto"), "did you mean 'kuramoto'?"),
    ],
)
def test_mistakes_are_told_and_write_nothing(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    results = searching(tmp_path)
    refused = call("enqueue", "tiny.yaml", *arguments)
    assert refused.code == 2 and said in refused.err
    assert enqueued(results) == []


def test_a_search_that_is_over_takes_none(call: Call, tmp_path: Path) -> None:
    searching(tmp_path, is_over=True)
    refused = call(*TRY)
    assert refused.code == 2 and "is over, and its winner stays" in refused.err


def test_a_population_takes_no_point_that_it_would_never_propose(call: Call, tmp_path: Path) -> None:
    results = searching(tmp_path)
    (journal,) = (results / "journal").glob("*.jsonl")
    text = journal.read_text(encoding="utf-8")
    assert '"eta": 2' in text
    journal.write_text(text.replace('"eta": 2', '"population": 4, "eta": 2'), encoding="utf-8")
    refused = call(*TRY)
    assert refused.code == 2 and "takes no members but its own children" in refused.err
    assert enqueued(results) == []
