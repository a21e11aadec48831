"""What a user gets wrong: exit code 2, one message that says where and what to do, nothing started."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.inventory import local_inventory
from sweeps import cli
from tests.integration.studies import STUDY, phasesweep

VALID = STUDY.format(seeds=2, steps=20, report_every=10)


@dataclass
class Mistake:
    """A command line, what is changed in the study, and what must be said."""

    says: str
    arguments: list[str] = field(default_factory=lambda: ["plan", "tiny.yaml"])
    replace: tuple[str, str] = ("", "")
    environment: dict[str, str] = field(default_factory=dict)


def edit(old: str, new: str, says: str) -> Mistake:
    return Mistake(says, replace=(old, new))


def sets(text: str, says: str) -> Mistake:
    return Mistake(says, arguments=["plan", "tiny.yaml", "--set", text])


MISTAKES = {
    "misspelt top-level key": edit("seeds:", "seds:", r"tiny\.yaml:4: seds: unknown key; did you mean 'seeds'\?"),
    "misspelt optimiser key": edit(
        "learning_rate", "lerning_rate", r"tiny\.yaml:8: optimizer\.lerning_rate: .* 'learning_rate'\? \(arm 'trans"
    ),
    "misspelt architecture key": edit(
        "phase_layers", "phase_layer", r"tiny\.yaml:12: architecture\.phase_layer: .* 'phase_layers'\?"
    ),
    "misspelt task key": edit("max_bytes", "max_byte", r"tiny\.yaml:7: task\.max_byte: .* 'max_bytes'\?"),
    "misspelt arm key": edit("role: baseline", "rle: baseline", r"tiny\.yaml:11: .*rle: unknown key; .* 'role'\?"),
    "unknown architecture": edit(
        "name: kuramoto", "name: kuramotto", r"tiny\.yaml:12: architecture: unknown architecture .* 'kuramoto'\?"
    ),
    "unknown task": edit("name: language", "name: langage", r"unknown task 'langage'; did you mean 'language'\?"),
    "wrong type": edit(
        "d_model: 16", "d_model: wide", r"tiny\.yaml:6: architecture\.d_model: .*integer, got 'wide'"
    ),
    "a bool is no number": edit("batch_size: 4", "batch_size: true", r"budget\.batch_size: .*integer, got True"),
    "out of range": edit(
        "steps: 20", "steps: 0", r"tiny\.yaml:9: budget\.steps: .*greater than or equal to 1, got 0"
    ),
    "not a number": edit("learning_rate: 3e-3", "learning_rate: .nan", r"optimizer\.learning_rate: .*finite"),
    "heads do not divide": edit("num_heads: 2", "num_heads: 3", r"num_heads=3 must divide d_model=16"),
    "layer that does not exist": edit("phase_layers: [0]", "phase_layers: [5]", r"tiny\.yaml:\d+: .*5"),
    "key twice": edit(
        "seeds: 2", "seeds: 2\nseeds: 3", r"tiny\.yaml:5: key 'seeds' stands twice \(first on line 4\)"
    ),
    "not YAML": edit("seeds: 2", "seeds: [2", r"tiny\.yaml:\d+: not valid YAML"),
    "no seeds": edit("seeds: 2", "seeds: 0", r"tiny\.yaml:4: seeds must be a count of at least 1"),
    "seed twice": edit("seeds: 2", "seeds: [1, 1]", r"list of different integers"),
    "no baseline": edit("role: baseline, ", "", r"exactly one arm needs `role: baseline`; found none"),
    "two baselines": edit(
        "kuramoto: {architecture", "kuramoto: {role: baseline, architecture", r"found transformer, kuramoto"
    ),
    "unknown metric": edit(
        "seeds: 2", "seeds: 2\nmetric: val/bits_per_chr", r"unknown metric .*did you mean 'val/bits_per_char'\?"
    ),
    "missing key": edit("title: Two arms for tests\n", "", r"title: this key is required"),
    "newer format": edit("format_version: 1", "format_version: 7", r"tiny\.yaml:\d+: format_version"),
    "scale the study lacks": Mistake(
        r"no scale 'gpu'; known: smoke, laptop", ["plan", "tiny.yaml", "--scale", "gpu"]
    ),
    "unknown scale": Mistake(
        r"unknown scale 'laptp'; did you mean 'laptop'\?", ["run", "tiny.yaml", "--scale", "laptp"]
    ),
    "unknown study": Mistake(r"unknown study 'quickstrt'; did you mean 'quickstart'\?", ["run", "quickstrt"]),
    "missing study file": Mistake(r"no study file nowhere\.yaml", ["run", "nowhere.yaml"]),
    "set without value": sets("budget.steps", r"write it as key=value"),
    "set of an unknown section": sets("budgt.steps=3", r"--set budgt\.steps: no such key"),
    "set of an unknown field": sets("budget.step=3", r"--set budget\.step: unknown key; did you mean 'steps'\?"),
    "set of a bad value": sets("budget.steps=-1", r"--set budget\.steps: .*got -1"),
    "set that an arm masks": sets("architecture.name=transformer", r"arms transformer, kuramoto set this field"),
    "set of an unknown arm": sets("arms.kuramto.budget.steps=3", r"no arm 'kuramto'; did you mean 'kuramoto'\?"),
    "set of an unknown resource": sets("resources.cpus=2", r"--set resources\.cpus: unknown key"),
    "more CPUs than there are": sets("resources.cpus_per_trial=4096", r"4096 CPUs.*resources\.cpus_per_trial"),
    "more GPUs than there are": sets("resources.gpus_per_trial=1.0", r"GPU"),
    "more than one GPU": sets("resources.gpus_per_trial=2.0", r"gpus_per_trial must be at most 1"),
    "missing corpus file": sets("task.corpus=file:nowhere.txt", r"nowhere\.txt"),
    "unknown corpus": sets("task.corpus=tiny_shakespere", r"tiny_shakespeare"),
    "parameter budget too small": sets("architecture.parameter_budget=10", r"parameter_budget=10 is too small"),
    "data folder that is not there": Mistake(
        r"PHASESWEEP_DATA=/nowhere/at/all: no such folder", environment={"PHASESWEEP_DATA": "/nowhere/at/all"}
    ),
    "results on a remote store": Mistake(
        r"remote stores are not supported yet", environment={"PHASESWEEP_RESULTS": "s3://bucket/results"}
    ),
    "key that is no word": edit("seeds: 2", "? [seeds]\n: 2", r"tiny\.yaml:4: a key must be a plain word"),
    "control character": edit("Two arms", "Two \x07 arms", r"tiny\.yaml: not valid YAML"),
    "results that do not exist": Mistake(r"no results in .*start with: phasesweep run", ["results", "tiny.yaml"]),
    "unknown schema": Mistake(r"no schema 'plans'; did you mean 'plan'\?", ["schema", "plans"]),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake(
    mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "gpus_per_trial=1.0" in mistake.arguments[-1] and local_inventory().gpus:
        pytest.skip("this machine has a GPU, so asking for one is no mistake")
    code, out, err = call(mistake, tmp_path, monkeypatch, capsys)
    assert code == 2, (out, err)
    assert re.search(mistake.says, err.replace("\n", " ")), err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "results").exists(), "something was started"


def call(
    mistake: Mistake, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Call the command line in this process, in `folder`."""
    old, new = mistake.replace
    assert old in VALID
    (folder / "tiny.yaml").write_text(VALID.replace(old, new, 1) if old else VALID, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(folder / "results"))
    monkeypatch.delenv("PHASESWEEP_DATA", raising=False)
    monkeypatch.setenv("HF_HOME", str(folder / "hub"))
    for key, value in mistake.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "argv", ["phasesweep", *mistake.arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), captured.out, captured.err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, r"holds files but no study\.yaml", id="other people's files"),
        pytest.param("hello: world\n", r"no format_version", id="another study.yaml"),
        pytest.param("format_version: 9\nstudy: tiny\n", r"format_version 9, this phasesweep writes 1", id="newer"),
        pytest.param(
            "format_version: 1\nstudy: other\nscale: laptop\n", r"results of other@laptop", id="other study"
        ),
        pytest.param("[", r"not a study\.yaml of phasesweep", id="not YAML"),
    ],
)
def test_a_foreign_results_folder_is_left_alone(
    content: str | None,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    foreign = tmp_path / "results" / "tiny" / "laptop"
    foreign.mkdir(parents=True)
    kept = foreign / ("thesis.txt" if content is None else "study.yaml")
    kept.write_text(content or "precious", encoding="utf-8")
    code, _, err = call(Mistake("", ["run", "tiny.yaml"]), tmp_path, monkeypatch, capsys)
    assert code == 2
    assert re.search(says, err), err
    assert [path.name for path in foreign.iterdir()] == [kept.name]
    assert kept.read_text(encoding="utf-8") == (content or "precious")


def test_results_in_a_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").write_text("a file", encoding="utf-8")
    code, _, err = call(Mistake("", ["run", "tiny.yaml"]), tmp_path, monkeypatch, capsys)
    assert code == 2
    assert "is a file" in err


def test_no_network_and_no_local_copy_is_said_at_once(tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its address when it is imported."""
    (tmp_path / "tiny.yaml").write_text(VALID, encoding="utf-8")
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    done = phasesweep(["run", "tiny.yaml", "--set", "task.corpus=tiny_shakespeare"], tmp_path, **nowhere)
    assert done.returncode == 2
    assert re.search(r"--set task\.corpus: .*tiny_shakespeare.*PHASESWEEP_DATA", done.stderr.replace("\n", " "))
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_damaged_journal_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results" / "tiny" / "laptop"
    (folder / "journal").mkdir(parents=True)
    marker = "format_version: 1\nstudy: tiny\nscale: laptop\n"
    (folder / "study.yaml").write_text(marker, encoding="utf-8")
    (folder / "journal" / "a.jsonl").write_text("half a li\n{}\n", encoding="utf-8")
    code, _, err = call(Mistake("", ["results", "tiny.yaml"]), tmp_path, monkeypatch, capsys)
    assert code == 2
    assert "a.jsonl:1" in err


def test_a_cluster_that_cannot_be_joined(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(VALID, encoding="utf-8")
    done = phasesweep(["run", "tiny.yaml"], tmp_path, RAY_ADDRESS="nonsense://nowhere:1")
    assert done.returncode == 2, done.stderr
    assert "RAY_ADDRESS=nonsense://nowhere:1: cannot join that cluster" in done.stderr
    assert not (tmp_path / "results").exists()
