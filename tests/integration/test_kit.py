"""A kit holds what is needed to check results, and verifies itself by running one replicate again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.records.journal import read_journal
from sweeps.cli.evidence.crate import METADATA
from sweeps.cli.evidence.expected import EXPECTED, Expected
from sweeps.cli.evidence.kit import MEANINGS
from tests.finished_sweep import STUDY, FinishedSweep
from tests.integration.studies import phasesweep
from tests.verbs import Call, caller

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


@pytest.fixture
def folder(finished: FinishedSweep, tmp_path: Path) -> Path:
    return finished.copy_to(tmp_path / "sweep")


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(folder, monkeypatch, capsys)


def test_it_holds_everything_and_says_what_it_is(call: Call, folder: Path) -> None:
    printed = call("kit", *STUDY, "--to", "kit", "--json").json("kit")
    kit = folder / "kit"
    optional = {"code.diff", "constraints.txt", "LICENSE", "CITATION.cff"}
    assert MEANINGS.keys() - optional <= set(printed["files"]) <= MEANINGS.keys() | {METADATA}
    assert read_journal(kit / "journal.jsonl").sweep is not None
    assert Expected.read(kit).study == "quickstart"
    graph = json.loads((kit / METADATA).read_text(encoding="utf-8"))["@graph"]
    assert all(entity["description"] for entity in graph if entity["@type"] == "File")


def test_it_is_written_anew_but_never_over_something_else(call: Call, folder: Path) -> None:
    assert call("kit", *STUDY, "--to", "kit").code == 0
    assert call("kit", *STUDY, "--to", "kit").code == 0
    (folder / "mine").mkdir()
    done = call("kit", *STUDY, "--to", "mine")
    assert done.code == 2 and "is no kit" in done.err


def test_a_kit_with_a_changed_file_does_not_hold(call: Call, folder: Path) -> None:
    call("kit", *STUDY, "--to", "kit")
    (folder / "kit" / "verdicts.json").write_text("[]\n", encoding="utf-8")
    printed = call("kit", "verify", "kit", "--json").json("kit")
    assert (printed["outcome"], printed["holds"]) == ("damaged", False)
    assert "verdicts.json" in printed["told"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kit", "verify"), "name the kit's folder"),
        (("kit", "verify", "results"), "expected.json: cannot be read"),
        (("kit", "quickstart", "--scale", "gpu"), "no results in"),
    ],
)
def test_mistakes_are_one_line(call: Call, arguments: tuple[str, ...], message: str) -> None:
    done = call(*arguments)
    assert (done.code, done.out) == (2, "") and message in done.err and done.err.count("\n") == 1


@pytest.mark.slow
def test_the_same_machine_gives_the_same_bits_and_another_number_is_found(folder: Path) -> None:
    assert phasesweep(["kit", *STUDY, "--to", "kit"], folder).returncode == 0
    done = phasesweep(["kit", "verify", "kit", "--exact"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal: all" in done.stdout

    expected = Expected.read(folder / "kit").to_json()
    expected["metrics"][expected["primary_metric"]] += 1e-6
    (folder / "kit" / EXPECTED).write_text(json.dumps(expected), encoding="utf-8")
    described = json.loads((folder / "kit" / METADATA).read_text(encoding="utf-8"))
    described["@graph"] = [entity for entity in described["@graph"] if entity["@id"] != EXPECTED]
    (folder / "kit" / METADATA).write_text(json.dumps(described), encoding="utf-8")
    done = phasesweep(["kit", "verify", "kit"], folder)
    assert done.returncode == 1
    assert "different: " in done.stdout and "although the numerics are the same" in done.stdout
