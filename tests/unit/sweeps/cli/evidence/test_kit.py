"""A kit holds what is needed to check results, and says what each file is."""

from __future__ import annotations

import json
from pathlib import Path

from analysis.records.journal import read_journal
from sweeps.cli.evidence.crate import METADATA
from sweeps.cli.evidence.expected import Expected
from sweeps.cli.evidence.kit import MEANINGS
from sweeps.store.folder import ResultsFolder
from tests.support.sweeps.journals import journal_events
from tests.support.sweeps.verbs import Call, write_results
from tests.unit.sweeps.cli.evidence.conftest import STUDY

OPTIONAL = {"code.diff", "constraints.txt", "LICENSE", "CITATION.cff"}


def test_it_holds_everything_and_says_what_it_is(call: Call, results: ResultsFolder, tmp_path: Path) -> None:
    printed = call("kit", *STUDY, "--json").json("kit")
    kit = results.path / "kit"
    assert (printed["path"], printed["replicate"]) == (str(kit), "transformer@0")
    assert MEANINGS.keys() - OPTIONAL <= set(printed["files"]) <= MEANINGS.keys() | {METADATA}
    assert read_journal(kit / "journal.jsonl").replicates.keys() == results.state().replicates.keys()
    assert Expected.read(kit).study == "tiny"
    assert (kit / "study" / "study.yaml").read_bytes() == (tmp_path / "tiny.yaml").read_bytes()
    graph = json.loads((kit / METADATA).read_text(encoding="utf-8"))["@graph"]
    assert all(entity["description"] for entity in graph if entity["@type"] == "File")


def test_it_is_written_anew_but_never_over_something_else(
    call: Call, results: ResultsFolder, tmp_path: Path
) -> None:
    assert call("kit", *STUDY, "--to", "kit").code == 0
    assert call("kit", *STUDY, "--to", "kit").code == 0
    (tmp_path / "mine").mkdir()
    done = call("kit", *STUDY, "--to", "mine")
    assert done.code == 2 and "is no kit" in done.err


def test_a_study_that_has_changed_since_is_refused(call: Call, results: ResultsFolder, tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("d_model: 16", "d_model: 32"), encoding="utf-8")
    done = call("kit", *STUDY)
    assert done.code == 2 and "has changed since it was run" in done.err
    assert not (results.path / "kit").exists()


def test_without_a_finished_replicate_there_is_nothing_to_verify(call: Call, tmp_path: Path) -> None:
    statuses = {("transformer", seed): "crashed" for seed in range(5)}
    write_results(tmp_path, journal_events({"transformer": 2.5}, statuses=statuses), scale="smoke")
    done = call("kit", *STUDY)
    assert done.code == 2 and "no replicate has finished" in done.err


def test_before_a_run_there_is_none(call: Call) -> None:
    done = call("kit", "quickstart")
    assert done.code == 2 and "no results in" in done.err
