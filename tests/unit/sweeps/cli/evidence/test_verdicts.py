"""`verdicts`: of results, of a compact journal, of every study; as text and as the JSON that its schema
describes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from analysis.records.compact import compact_journal
from analysis.records.journal import read_journal
from sweeps.studies.catalogue import library
from tests.support.sweeps.verbs import Call

ROOT = Path(__file__).parents[5]
NEEDLE = ROOT / "docs" / "results" / "resonant_needle.jsonl"


def results_of_needle(folder: Path) -> Path:
    """Put the committed journal where a run would have written it."""
    results = folder / "results" / "resonant_needle" / "laptop"
    (results / "journal").mkdir(parents=True)
    resolved = {"format_version": 1, "study": "resonant_needle", "scale": "laptop", "arms": {}}
    (results / "study.yaml").write_text(yaml.safe_dump(resolved), encoding="utf-8")
    return Path(shutil.copy(NEEDLE, results / "journal" / "a.jsonl"))


def test_of_results(call: Call, tmp_path: Path) -> None:
    journal = results_of_needle(tmp_path)
    printed = call("verdicts", "resonant_needle", "--json").json("verdicts")
    assert (printed["study"], printed["scale"]) == ("resonant_needle", "laptop")
    found = {claim["id"]: claim for claim in printed["claims"]}
    assert list(found) == list(yaml.safe_load(library()["resonant_needle"].read_text())["claims"])
    assert found["R7"]["verdict"] in {"supported", "refuted", "inconclusive"}
    assert {claim["journal_sha256"] for claim in found.values()} == {
        hashlib.sha256(journal.read_bytes()).hexdigest()
    }
    text = call("verdicts", "resonant_needle").out
    assert text.startswith("resonant_needle@laptop\n")
    assert "R7: the phase coherence" in text


def test_a_compact_journal_gives_the_same_verdicts_as_results(call: Call, tmp_path: Path) -> None:
    journal = results_of_needle(tmp_path)
    compact = tmp_path / "needle.jsonl"
    compact.write_text(compact_journal(journal.parent), encoding="utf-8")
    of_results = call("verdicts", "resonant_needle", "--json").json("verdicts")["claims"]
    of_compact = call("verdicts", str(compact), "--json").json("verdicts")["claims"]
    for whole, small in zip(of_results, of_compact, strict=True):
        assert {**whole, "journal_sha256": None} == {**small, "journal_sha256": None}
    declared_at = read_journal(compact).declared_at
    assert declared_at == read_journal(journal).declared_at


def test_a_study_without_results_has_not_run(call: Call) -> None:
    printed = call("verdicts", "resonant_needle", "--scale", "gpu", "--json").json("verdicts")
    assert {claim["verdict"] for claim in printed["claims"]} == {"not run"}
    assert {claim["journal_sha256"] for claim in printed["claims"]} == {None}


def test_without_a_study_every_declared_claim_is_listed(call: Call) -> None:
    printed = call("verdicts", "--json").json("verdicts")
    declared = call("claims", "--json").json("claims")
    assert printed["study"] is None
    assert [(c["study"], c["id"]) for c in printed["claims"]] == [(c["study"], c["id"]) for c in declared]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verdicts", "nowhere.jsonl"), "no such journal"),
        (("verdicts", "resonant_needl"), "resonant_needle"),
        (("verdicts", "--set", "budget.steps=5"), "name the study"),
        (("verdicts", "resonant_needle", "--scale", "huge"), "scale"),
    ],
)
def test_mistakes_are_one_line(call: Call, arguments: tuple[str, ...], message: str) -> None:
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
