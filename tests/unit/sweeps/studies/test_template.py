"""`new`: what it writes is a valid study for every architecture and task, at every scale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sweeps.fields import SCALES
from sweeps.studies.catalogue import find, library
from sweeps.studies.resolve import load_study
from sweeps.studies.template import scaffold
from tests.support.models.sizes import unmeasured
from tests.support.sweeps.verbs import Call, caller
from trainables.architectures.base.parameters import count_parameters
from trainables.registry import ARCHITECTURES, TASKS

PAIRS = [(name, task) for name in ARCHITECTURES.names() if ARCHITECTURES.get(name).learns for task in TASKS.names()]
VOCAB_SIZES = {"synthetic": 8, "stdlib": 256}


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


PAIRS_OR_SLOW = [
    pytest.param(*pair, marks=[] if "kuramoto" in pair or "language" in pair else [pytest.mark.slow])
    for pair in PAIRS
]
"""Every family with one task, and every task with one family; the others only where there is time."""


@pytest.mark.parametrize(("architecture", "task"), PAIRS_OR_SLOW)
def test_every_family_is_scaffolded_at_every_scale_with_equal_numbers_of_parameters(
    call: Call, tmp_path: Path, architecture: str, task: str
) -> None:
    said = call("new", "mine", "--architecture", architecture, "--task", task, "--json").json("new")
    assert said["scales"] == list(SCALES)
    assert said["path"] == str(tmp_path / "mine.yaml")
    for scale in SCALES:
        study = load_study("mine.yaml", scale)
        assert study.name == "mine" and [arm.name for arm in study.arms] == said["arms"]
        baseline, treatment = study.arms
        assert (baseline.role, baseline.config.architecture.name) == ("baseline", "transformer")
        assert treatment.config.architecture.name == architecture
        assert treatment.config != baseline.config
        assert {arm.config.task.name for arm in study.arms} == {task}
        corpus = getattr(baseline.config.task, "corpus", None)
        length = getattr(baseline.config.task, "context_length", 64)
        sizes = [
            count_parameters(arm.config.architecture, vocab_size=VOCAB_SIZES.get(corpus, 256), max_seq_len=length)
            for arm in study.arms
        ]
        assert max(sizes) < 1.02 * min(sizes), scale


def test_a_control_that_learns_nothing_is_no_family_to_study(call: Call) -> None:
    said = call("new", "mine", "--architecture", "echo", "--task", "language")
    assert said.code == 2
    assert "'echo' learns nothing" in said.err


def test_every_comment_that_gives_a_field_gives_a_valid_one(tmp_path: Path) -> None:
    """Uncommented, each line of the arm still loads: names and defaults are the family's own."""
    text = scaffold("mine", "kuramoto", "language", "mine.yaml")
    offered = re.findall(r"(?m)^      # (\w+: .*)$", text)
    assert len(offered) > 10
    uncommented = re.sub(r"(?m)^      # (?=(?!phase_layers)\w+: )", "      ", text)
    (tmp_path / "mine.yaml").write_text(uncommented, encoding="utf-8")
    arms = {arm.name: arm.config for arm in load_study(str(tmp_path / "mine.yaml")).arms}
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert arms == {arm.name: arm.config for arm in load_study(str(tmp_path / "mine.yaml")).arms}
    assert max(map(len, text.splitlines())) <= 116


def test_a_copy_of_a_library_study_differs_in_its_name_alone(call: Call, tmp_path: Path) -> None:
    for source in library():
        copied = tmp_path / f"copy_of_{source}.yaml"
        assert call("new", copied.stem, "--from", source, "--json").json("new")["path"] == str(copied)
        original = find(source).read_text(encoding="utf-8").splitlines()
        first, *rest = copied.read_text(encoding="utf-8").splitlines()
        assert first == f"# Copied from the study `{source}`."
        changed = [(old, new) for old, new in zip(original, rest, strict=True) if old != new]
        assert changed == [(f"study: {source}", f"study: {copied.stem}")]


def test_it_plans_at_smoke_scale_and_says_how(call: Call) -> None:
    out = call("new", "mine").out
    assert out == (
        "mine.yaml: 2 arms (baseline, kuramoto), scales smoke, laptop, gpu, paper\n"
        "next: phasesweep plan mine.yaml --scale smoke\n"
    )
    with unmeasured():
        plan = call("plan", "mine.yaml", "--scale", "smoke", "--json").json("plan")
        text = call("plan", "mine.yaml", "--scale", "smoke").out
    assert plan["num_replicates"] == 4
    assert "disk: at most " in text and "for 4 replicates" in text


def test_to_a_folder_or_another_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    assert call("new", "mine", "--to", "studies").code == 0
    assert call("new", "mine", "--to", "studies/other.yml").code == 0
    assert sorted(path.name for path in (tmp_path / "studies").iterdir()) == ["mine.yaml", "other.yml"]
    assert load_study(str(tmp_path / "studies" / "other.yml")).name == "mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["../mine"], r"new \.\./mine: .*; try 'mine'"),
        (["taken"], "taken.yaml already exists; give another --to, or remove it"),
        (["mine", "--to", "nowhere/mine.yaml"], "--to nowhere/mine.yaml: cannot be written"),
        (["mine", "--from", "broken.yaml"], r"mine\.yaml:\d+: .*unknown key"),
    ],
)
def test_mistakes_write_nothing(call: Call, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "taken.yaml").write_text("mine", encoding="utf-8")
    broken = scaffold("broken", "kuramoto", "language", "broken.yaml").replace("d_model", "d_modle", 1)
    (tmp_path / "broken.yaml").write_text(broken, encoding="utf-8")
    called = call("new", *arguments)
    assert (called.code, called.out) == (2, "")
    assert re.search(says, called.err), called.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.yaml", "taken.yaml"]
    assert (tmp_path / "taken.yaml").read_text(encoding="utf-8") == "mine"
