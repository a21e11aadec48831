"""Arms that start with what others have learnt: a backbone trained once for all, and one that goes on from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.sweeps.studies import journal_events, phasesweep
from tests.support.sweeps.verbs import Call, caller

STUDY = """\
format_version: 1
study: chain
title: Arms that start with others
seeds: 2
base:
  architecture: {name: resonant, d_model: 16, num_layers: 1, num_heads: 2, backbone: pretrain, attention: none}
  task: {name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}
  optimizer: {learning_rate: 3e-3}
  budget: {steps: 10, batch_size: 4, report_every: 10, eval_sequences: 8}
  pretraining:
    task: {name: language, corpus: synthetic, context_length: 24, max_bytes: 20000}
    budget: {steps: 20, batch_size: 8, report_every: 20, eval_sequences: 8}
    seed: 5
arms:
  further: {resume_from: {source: "arm:first"}, optimizer: {learning_rate: 1e-3}}
  first: {role: baseline, architecture: {pvm: {}}}
  untrained: {role: control, architecture: {num_blocks: 0}, budget: {steps: 0}}
  again: {architecture: {pvm: {}}, budget: {steps: 0}, resume_from: {source: "arm:first"}}
scales:
  smoke: {}
  laptop: {}
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def write(folder: Path, text: str = STUDY) -> Path:
    path = folder / "chain.yaml"
    path.write_text(text.replace("further: {resume", "further: {architecture: {pvm: {}}, resume"), encoding="utf-8")
    return path


@pytest.mark.slow
def test_each_waits_for_what_it_starts_with(tmp_path: Path) -> None:
    write(tmp_path)
    plan = json.loads(phasesweep(["plan", "chain.yaml", "--json"], tmp_path).stdout)
    (backbone,) = plan["prerequisites"]
    ids = {arm["arm"]: arm["config_id"] for arm in plan["configurations"]}
    assert backbone["seeds"] == [5]
    assert [arm["starts_with"] for arm in plan["configurations"]] == [
        {"backbone": f"{backbone['config_id']}/seed=5", "resume": ids["first"]},
        {"backbone": f"{backbone['config_id']}/seed=5"},
        {"backbone": f"{backbone['config_id']}/seed=5"},
        {"backbone": f"{backbone['config_id']}/seed=5", "resume": ids["first"]},
    ]
    done = phasesweep(["run", "chain.yaml"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "results" / "chain" / "laptop"
    events = journal_events(results)
    began = {(e["config_id"], e["seed"]): e["time"] for e in events if e["event"] == "started"}
    ended = {(e["config_id"], e["seed"]): e["time"] for e in events if e["event"] == "finished"}
    assert len(ended) == 9, "the backbone once, and four arms with two seeds"
    last = {(e["config_id"], e["seed"]): e["metrics"] for e in events if e["event"] == "report"}
    for seed in (0, 1):
        for arm in ids.values():
            assert began[arm, seed] >= ended[backbone["config_id"], 5]
        assert began[ids["further"], seed] >= ended[ids["first"], seed]
        trained = {k: v for k, v in last[ids["first"], seed].items() if not k.startswith("train/")}
        assert last[ids["again"], seed] == trained, "an evaluation only: of the model as it was trained"
    assert not (results / "replicates" / ids["untrained"] / "seed=0" / "weights.pt").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("arm:frist", "no arm 'frist'; did you mean 'first'?"),
        ("id:0123456789ab", "nothing in this results folder has finished as 0123456789ab"),
        ("id:first", "12 hexadecimal digits"),
        ("gone.pt", "no file"),
        ("arm:further", "arms start with each other: further -> further"),
    ],
)
def test_a_start_that_is_not_there_is_a_mistake_with_an_answer(
    call: Call, tmp_path: Path, source: str, said: str
) -> None:
    write(tmp_path, STUDY.replace("arm:first", source))
    refused = call("plan", "chain.yaml")
    assert refused.code == 2
    assert said in refused.err, refused.err
    assert "chain.yaml" in refused.err


def test_a_backbone_that_nobody_says_how_to_train_is_a_mistake(call: Call, tmp_path: Path) -> None:
    text = STUDY[: STUDY.index("  pretraining:")] + STUDY[STUDY.index("arms:") :]
    write(tmp_path, text)
    refused = call("plan", "chain.yaml")
    assert refused.code == 2
    assert "wants its backbone trained first: say how under pretraining" in refused.err
