"""Where a pretrained model is looked for, which weights it is, and what a message says if there is none."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    CohereConfig,
    CohereForCausalLM,
    GPT2Model,
    LlamaModel,
    RobertaConfig,
    RobertaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from cluster.inventory import Inventory
from sweeps.errors import UserError
from sweeps.plan.checks import checked
from sweeps.studies.resolve import load_study
from tests.support.models.backbones import CONFIGS, QUANTISED, SHARED, VOCAB, WIDTH, load, save_backbones
from tests.support.sweeps.studies import write_study
from trainables.architectures.pretrained.loading import load_pretrained
from trainables.architectures.pretrained.model import load_backbone
from trainables.data.pretrained_files import absolute_source, find_source, source_hash


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_backbones(tmp_path_factory.mktemp("backbones"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Give an empty cache and a machine without network; yields the hosts that were asked for."""
    asked: list[str] = []

    def refuse(host: Any, *_: Any, **__: Any) -> Any:
        asked.append(str(host))
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: refuse(address))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield asked


def test_parameters_are_counted_from_the_configuration_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(folders["llama"] / "config.json", tmp_path)
    for quantisation in ("none", *QUANTISED):
        with torch.device("meta"):
            assert load(tmp_path, quantisation=quantisation).embedding_VD.is_meta
        with pytest.raises(ValueError, match=r"has no weights \(\*\.safetensors or pytorch_model\*\.bin\); name a"):
            load(tmp_path, quantisation=quantisation)


def test_a_local_folder_needs_no_network(folders: dict[str, Path], offline: list[str]) -> None:
    load(folders["gpt2"], quantisation="4bit")
    source_hash(f"hf:{folders['gpt2']}")
    assert offline == []


def _blank(_: Path) -> None: ...


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def _headless(folder: Path) -> None:
    LlamaModel(CONFIGS["llama"]).save_pretrained(folder)


def _encoder(folder: Path) -> None:
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=60
    )
    BertForMaskedLM(config).save_pretrained(folder)


def _roberta(folder: Path) -> None:
    config = RobertaConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=60
    )
    RobertaForCausalLM(config).save_pretrained(folder)


def _translator(folder: Path) -> None:
    T5ForConditionalGeneration(T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).save_pretrained(
        folder
    )


def _other_vocabulary(folder: Path) -> None:
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**fields, "vocab_size": 99}))


def _truncated(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing")


def _lost_part(folder: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _quantised(folder: Path) -> None:
    fields = json.loads((folder / "config.json").read_text())
    fields["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (folder / "config.json").write_text(json.dumps(fields))


def _bidirectional(folder: Path) -> None:
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**fields, "is_causal": False}))


def _scaled(folder: Path) -> None:
    CohereForCausalLM(CohereConfig(**SHARED, logit_scale=0.5, pad_token_id=0)).save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "options", "message"),
    [
        (_no_config, {}, r"has no config\.json; name a folder as save_pretrained writes it"),
        (_broken_config, {}, r"cannot read .*config\.json: "),
        (_headless, {}, r"1 tensors are missing or of another shape, such as lm_head\.weight; save the whole"),
        (
            _encoder,
            {},
            r"of type 'bert', an encoder: each of its positions sees the tokens after it, .*; choose",
        ),
        (_roberta, {}, r"of type 'roberta', an encoder: "),
        (_translator, {}, r"is a T5ForConditionalGeneration, no causal LM; choose a model that predicts the next"),
        (_other_vocabulary, {}, r"do not fit its config\.json: 2 tensors .*, such as lm_head\.weight; save"),
        (_truncated, {}, r"cannot read the weights in"),
        (_lost_part, {}, r"has no model-1\.safetensors; name a folder"),
        (_quantised, {}, r"saved with quantised weights; name the original"),
        (_bidirectional, {}, r"LlamaForCausalLM lets a position see later tokens; choose a causal LM"),
        (_scaled, {}, r"CohereForCausalLM does more between its embedding and its logits"),
        (_blank, {"vocab_size": 61}, r"knows 60 tokens, and the task has 61; choose the backbone's own tokenizer"),
        (_blank, {"max_seq_len": 25}, r"has 24 positions, and the task's sequences have 25 tokens; shorten"),
        (_blank, {"quantisation": "4bit", "frozen": False}, r"weights in 4bit have no gradients: freeze"),
    ],
)
def test_a_message_says_what_to_do(
    damage: Callable[[Path], None], options: dict[str, Any], message: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["llama"], folder)
    damage(folder)
    with pytest.raises(ValueError, match=message):
        load(folder, **options)


def test_what_was_not_found_and_where(folders: dict[str, Path], offline: list[str]) -> None:
    wrong = folders["llama"].with_name("lama")
    with pytest.raises(ValueError, match=r"no folder .*/lama; did you mean '.*/llama'\?"):
        load(wrong)
    with pytest.raises(ValueError, match=r"no folder /nowhere/at/all; name a folder as save_pretrained"):
        load(Path("/nowhere/at/all"))
    with pytest.raises(ValueError, match=r"neither a folder here nor the name of a repository, OWNER/NAME"):
        find_source("hf:models/tiny/llama")
    assert offline == []
    with pytest.raises(
        ValueError, match=r"Looked for a folder .*, in the hub's cache \(HF_HOME\) and at the hub \("
    ):
        find_source("hf:owner/model")
    assert offline


@pytest.mark.parametrize("revision", ["", "@v1"])
def test_a_plan_downloads_nothing_and_says_what_to_fetch(revision: str, offline: list[str], tmp_path: Path) -> None:
    source = f"hf:owner/model{revision}"
    path = write_study(tmp_path)
    theirs = f"{{name: resonant, backbone: '{source}'}}"
    text = path.read_text(encoding="utf-8").replace(
        "{name: kuramoto, phase_layers: [0], num_oscillators: 4, num_steps: 1}", theirs
    )
    path.write_text(text, encoding="utf-8")
    study = load_study(str(path))
    with pytest.raises(UserError) as error:
        checked(study, Inventory(cpus=2, memory_mib=8000), None)
    said = str(error.value)
    assert (
        "kuramoto" in said
        and f"'{source}' is not on this machine" in said
        and f"`phasesweep fetch {source}`" in said
    )
    with pytest.raises(ValueError, match="is not on this machine, and a plan downloads nothing"):
        source_hash(source)
    assert offline == []


def test_weights_that_are_missing_beside_their_configuration_are_not_fetched_by_a_plan(
    folders: dict[str, Path], offline: list[str], tmp_path: Path
) -> None:
    snapshot = tmp_path / "cache" / "models--owner--model" / "snapshots" / "c0ffee"
    (snapshot.parents[1] / "refs").mkdir(parents=True)
    (snapshot.parents[1] / "refs" / "main").write_text("c0ffee")
    snapshot.mkdir(parents=True)
    shutil.copy(folders["llama"] / "config.json", snapshot)
    with torch.device("meta"):
        assert load_backbone("hf:owner/model", vocab_size=VOCAB, max_seq_len=4).d_model == WIDTH
    with pytest.raises(ValueError, match=r"has no weights on this machine \(.*c0ffee\)"):
        source_hash("hf:owner/model")
    assert offline == []


def test_the_hubs_cache_comes_before_the_hub(folders: dict[str, Path], offline: list[str], tmp_path: Path) -> None:
    repository = tmp_path / "cache" / "models--owner--model"
    snapshot, blobs = repository / "snapshots" / "c0ffee", repository / "blobs"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in folders["gpt2"].iterdir():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        blob = blobs / (digest if file.suffix == ".safetensors" else digest[:40])
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(blob)
    assert find_source("hf:owner/model") == find_source("hf:owner/model@main") == snapshot
    assert source_hash("hf:owner/model") == source_hash(f"hf:{folders['gpt2']}")
    assert load_backbone("hf:owner/model", vocab_size=VOCAB, max_seq_len=4).d_model == WIDTH
    assert offline == []


def test_the_hash_is_of_the_weights_and_not_of_the_place(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folders["llama"], tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    assert absolute_source("hf:moved") == absolute_source("hf:./moved") == f"hf:{tmp_path / 'moved'}"
    assert absolute_source("hf:owner/model") == "hf:owner/model"
    before = source_hash("hf:moved")
    assert before == source_hash(f"hf:{folders['llama']}") != source_hash(f"hf:{folders['mistral']}")
    weights = tmp_path / "moved" / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    assert source_hash("hf:moved") != before


def test_a_headless_gpt2_has_its_head_in_its_embedding(tmp_path: Path) -> None:
    GPT2Model(CONFIGS["gpt2"]).save_pretrained(tmp_path)
    model = load_pretrained(f"hf:{tmp_path}", quantisation="none", dtype="float32").model
    assert model.lm_head.weight is model.transformer.wte.weight
