"""Where results lie: one folder for what is one set of configurations, recognised by its marker."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sweeps.cli.stored_sweep import find_results
from sweeps.errors import UserError
from sweeps.fields import results_key
from sweeps.store.folder import ResultsFolder
from sweeps.studies.catalogue import StudyHead, library
from sweeps.studies.overrides import parse_overrides
from sweeps.studies.resolve import load_study
from tests.support.sweeps.studies import write_study

RESOLVED = {"format_version": 1, "study": "tiny", "scale": "laptop", "seeds": [0], "arms": {"control": {}}}


def former_name(scale: str, overrides: dict[str, Any]) -> str:
    """Return how folders were named while every override was hashed."""
    return f"{scale}+{hashlib.sha256(json.dumps(overrides, sort_keys=True).encode()).hexdigest()[:8]}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    write_study(tmp_path)
    return tmp_path


def test_the_key_of_configurations_alone_is_what_it_always_was() -> None:
    overrides = parse_overrides(["budget.steps=30", "arms.control.architecture.dropout=0.5"])
    assert results_key("gpu", overrides) == former_name("gpu", overrides)


def test_reading_and_writing_verbs_go_to_one_folder(here: Path) -> None:
    for sets in (
        [],
        ["seeds=7"],
        ["budget.steps=30"],
        ["budget.steps=30", "seeds=7", "resources.cpus_per_trial=2"],
    ):
        study = load_study("tiny.yaml", "smoke", sets)
        written = ResultsFolder.of(here / "results", study.name, study.results_key)
        assert find_results("tiny.yaml", "smoke", sets) == written
        assert written.experiment == f"tiny@{study.results_key}"
        assert (written.study, written.scale) == ("tiny", "smoke")


def test_results_under_a_former_name_are_found_until_there_are_some_under_todays(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["budget.steps=30", "seeds=7"]
    former = ResultsFolder(here / "results" / "tiny" / former_name("laptop", parse_overrides(sets)))
    now = find_results("tiny.yaml", "laptop", sets)
    assert now != former
    former.prepare(RESOLVED)
    (former.path / "results.json").unlink()  # which such folders do not have
    assert find_results("tiny.yaml", "laptop", sets) == former
    assert capsys.readouterr().err == ""
    now.prepare(RESOLVED)
    assert find_results("tiny.yaml", "laptop", sets) == now
    notice = capsys.readouterr().err
    assert notice.startswith(f"phasesweep: not read: results in {former.path}, ")
    for folder, sweep in ((former, "a"), (now, "b")):
        (folder.journal).mkdir(exist_ok=True)
        (folder.journal / f"{sweep}.jsonl").touch()
        (folder.path / "replicates").mkdir(exist_ok=True)
    subprocess.run(shlex.split(notice.partition("to add them: ")[2]), check=True)
    assert {path.name for path in now.journal.iterdir()} == {"a.jsonl", "b.jsonl"}


def test_the_marker_is_json_and_no_yaml_is_read_for_it(here: Path) -> None:
    folder = find_results("tiny.yaml", "laptop", [])
    folder.prepare(RESOLVED, {"abc-mine.py": "text"})
    marker = json.loads((folder.path / "results.json").read_text(encoding="utf-8"))
    assert marker == {"format_version": 1, "study": "tiny", "scale": "laptop"}
    assert (folder.path / "plugins" / "abc-mine.py").read_text(encoding="utf-8") == "text"
    assert folder.resolved_study() == RESOLVED
    (folder.path / "study.yaml").write_text("", encoding="utf-8")  # as a full disk leaves it
    assert find_results("tiny.yaml", "laptop", []).exists()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("results.json", "", r"results.json: not a results.json of phasesweep \(Expecting value"),
        ("results.json", '{"format_version": ', r"results.json: not a results.json of phasesweep \("),
        ("results.json", "{}", r"results.json: not a results.json of phasesweep \(no format_version\)"),
        ("results.json", '{"format_version": 2}', "results.json: format_version 2, this phasesweep writes 1"),
        (
            "results.json",
            '{"format_version": 1, "study": "other", "scale": "laptop"}',
            "results of other@laptop, not of tiny@laptop",
        ),
        ("study.yaml", "study: tiny", r"study.yaml: not a study.yaml of phasesweep \(no format_version\)"),
        ("notes.txt", "mine", "holds files but neither results.json nor study.yaml of phasesweep"),
    ],
)
def test_what_is_no_folder_of_results_is_refused(here: Path, name: str, text: str, says: str) -> None:
    folder = here / "results" / "tiny" / "laptop"
    folder.mkdir(parents=True)
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"{says}.*; move it away or set PHASESWEEP_RESULTS"):
        find_results("tiny.yaml", "laptop", [])


def test_results_are_found_by_name_where_the_study_file_is_gone(here: Path) -> None:
    folder = find_results("tiny.yaml", "laptop", [])
    folder.prepare(RESOLVED)
    (here / "tiny.yaml").unlink()
    assert find_results("tiny", "laptop", []) == folder
    with pytest.raises(UserError, match="unknown study 'tinny'"):
        find_results("tinny", "laptop", [])


@pytest.mark.parametrize(
    ("scale", "sets", "says"),
    [
        ("lapto", [], "unknown scale 'lapto'; did you mean 'laptop'"),
        ("laptop", ["budgets.steps=3"], "--set budgets.steps: no such key"),
        ("laptop", ["budget.steps"], "write it as key=value"),
        ("laptop", ["title=mine"], "--set title: no such key"),
    ],
)
def test_mistakes_of_the_command_line_are_told_without_the_study(
    here: Path, scale: str, sets: list[str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        find_results("tiny.yaml", scale, sets)


def test_every_study_of_the_library_lies_under_its_own_name() -> None:
    assert {name: StudyHead.read(path).name for name, path in library().items()} == {n: n for n in library()}


def test_a_file_that_names_no_study_is_told_so(here: Path) -> None:
    for text, says in (("- a\n", ":1: study: missing"), ("a: [\n", "list.yaml:2: not valid YAML")):
        (here / "list.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=says):
            find_results("list.yaml", "laptop", [])
