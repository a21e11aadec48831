"""`diagnose STUDY[:ARM]`: which model is measured, what is printed, and what is written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from sweeps.studies.resolve import load_study
from tests.support.sweeps.journals import config_id, journal_events
from tests.support.sweeps.verbs import Call, caller, write_results
from trainables.inspection.open_model import open_model
from trainables.training.initial_weights import save_weights

FEW = ("--sequences", "4")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def keep_weights(folder: Path, arm: str, seed: int) -> None:
    """Write a replicate's configuration and weights, all 1 larger than at the start."""
    results = write_results(folder, journal_events({"transformer": 2.5, "kuramoto": 2.4}, seeds=range(2)))
    replicate = results.replicate(config_id(arm), seed)
    replicate.mkdir(parents=True)
    config = next(each.config for each in load_study(str(folder / "tiny.yaml")).arms if each.name == arm)
    written = {"config_id": config_id(arm), "seed": seed, **config.model_dump(mode="json")}
    (replicate / "config.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    fresh = open_model(config, seed, weights=None, length=None, data_dir=None).model
    state = {name: tensor + 1 for name, tensor in fresh.state_dict().items()}
    save_weights(replicate / "weights.pt", state, buffers=(), identity="x/seed=0", code="any")


def test_the_weights_of_a_replicate_are_measured(call: Call, tmp_path: Path) -> None:
    keep_weights(tmp_path, "kuramoto", 1)
    arguments = ("diagnose", "tiny.yaml:kuramoto", *FEW, "--stream-to", "2048", "--json")
    trained = call(*arguments, "--seed", "1").json("diagnose")
    fresh = call(*arguments, "--seed", "0").json("diagnose")
    assert trained["encodings"] == []
    found, other = trained["model"], fresh["model"]
    assert (found["arm"], found["seed"], found["is_trained"], found["sequence_length"]) == ("kuramoto", 1, True, 16)
    assert not other["is_trained"]
    assert found["loss"]["nats"] != other["loss"]["nats"]
    assert found["attention"] == []
    assert found["loss"]["measured_from"] == 8
    longer = call(*arguments, "--seed", "1", "--length", "24")
    assert longer.code == 2
    assert "its weights are for sequences of 16 tokens, not 24: learned positions" in longer.err


def test_without_weights_the_baseline_is_measured_as_it_starts_and_says_so(call: Call, tmp_path: Path) -> None:
    write_results(tmp_path, journal_events({"transformer": 2.5}, seeds=range(2)))
    said = call("diagnose", "tiny.yaml", *FEW, "--to", "out", "--figures", "png")
    assert said.code == 0
    assert "tiny@laptop:transformer, untrained" in said.out
    assert "--set resources.keep_weights=true" in said.out
    assert "attention of layer 0" in said.out
    assert "read no further: a sequence of 1024 tokens is longer than max_seq_len=16" in said.out
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"loss_by_position.png", "loss_by_position.csv", "attention.png", "attention.csv"}


def test_cost_is_written_in_the_published_columns(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        """\
format_version: 1
study: mine
title: A GRU
seeds: 1
base:
  task: {name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}
  budget: {steps: 0, batch_size: 4, report_every: 1}
arms: {gru: {role: baseline, architecture: {name: gru, d_model: 16, num_layers: 1, positions: none}}}
scales: {laptop: {}}
""",
        encoding="utf-8",
    )
    found = call("diagnose", "mine.yaml", "--stream-to", "4096", "--to", "out", "--json").json("diagnose")["model"]
    assert [each["length"] for each in found["cost"]] == [1024, 2048, 4096]
    assert len({each["state_bytes"] for each in found["cost"]}) == 1
    with (tmp_path / "out" / "system.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["step", "length", "vram_mb", "tokens_per_sec", "window", "state_size"]
    assert [(row["step"], row["length"], row["window"]) for row in rows] == [
        ("0", "1024", ""),
        ("0", "2048", ""),
        ("0", "4096", ""),
    ]
    assert (tmp_path / "out" / "cost.svg").is_file()
