"""Tokenizers of pretrained models: every byte counted, from files made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers

from trainables.data.errors import DataError
from trainables.data.tokenizers.bpe import BpeTokenizer
from trainables.data.tokenizers.pretrained import PretrainedTokenizer, load_pretrained
from trainables.tasks.text.config import LanguageConfig, LinesConfig

TEXT = "the phase of the oscillator\nlocks to the mean field: é, 漢字, \U0001f600 <0x41>\n"


def like_gpt2() -> Backend:
    backend = Backend.from_str(BpeTokenizer(TEXT * 40, 300)._backend.to_str())
    backend.add_special_tokens(["<|endoftext|>"])
    return backend


def like_llama() -> Backend:
    """Return a tokenizer that puts a space first, writes spaces as ▁ and what it does not know as bytes."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁theocs", "th", "the", "▁the"]
    backend = Backend(
        models.BPE(
            vocab={word: number for number, word in enumerate(words)},
            merges=[("t", "h"), ("th", "e"), ("▁", "the")],
            byte_fallback=True,
            unk_token="<unk>",
        )
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return backend


def write(folder: Path, backend: Backend, **declared: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps(declared))
    backend.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


@pytest.mark.parametrize(("make", "first"), [(like_gpt2, 0), (like_llama, 1)])
def test_every_byte_and_character_is_counted(tmp_path: Path, make: Any, first: int) -> None:
    tokenizer = PretrainedTokenizer(write(tmp_path / "model", make()))
    tokens = tokenizer.encode(TEXT)
    assert tokens.dtype == np.int32 and tokenizer.decode(tokens) == TEXT
    assert tokenizer.bytes_per_token_V[tokens].sum() == len(TEXT.encode()) + first
    assert tokenizer.chars_per_token_V[tokens].sum() == len(TEXT) + first
    assert tokenizer.vocab_size == make().get_vocab_size()


def test_padding_is_the_declared_token_or_the_end_of_sequence(tmp_path: Path) -> None:
    def padding(**declared: Any) -> int | None:
        return PretrainedTokenizer(write(tmp_path / "model", like_llama(), **declared)).padding

    assert padding() is None
    assert padding(eos_token="</s>") == 2
    assert padding(eos_token={"content": "</s>"}, pad_token="<unk>") == 0


def test_tasks_take_it_and_know_which_it_is_by_content(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 30)
    write(tmp_path / "one", like_llama(), eos_token="</s>")
    write(tmp_path / "two", like_llama(), eos_token="</s>")
    write(tmp_path / "other", like_gpt2(), eos_token="<|endoftext|>")
    common = {"corpus": f"file:{tmp_path / 'text.txt'}", "context_length": 16}
    configs = [
        LanguageConfig.model_validate({**common, "tokenizer": f"hf:{tmp_path / name}"})
        for name in ("one", "two", "other")
    ]
    one, two, other = (config.build(None) for config in configs)
    assert configs[0].canonical() == configs[1].canonical()
    assert one.data_hash == two.data_hash != other.data_hash
    assert one.primary_metric == "val/bits_per_byte"
    lines = LinesConfig.model_validate({**common, "tokenizer": f"hf:{tmp_path / 'one'}"}).build(None)
    assert (lines.vocab_size, lines.padding) == (one.vocab_size, 2)
    assert "3-gram (Witten-Bell)" in lines.references()


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = LanguageConfig(tokenizer="hf:./model").with_absolute_paths(None)
    assert config.tokenizer == f"hf:{tmp_path / 'model'}"
    assert LanguageConfig(tokenizer="hf:owner/name").with_absolute_paths(None).tokenizer == "hf:owner/name"
    assert LanguageConfig().with_absolute_paths(None) == LanguageConfig()


def test_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    lower = like_llama()
    lower.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace("the ", "")])
    tokenizer = PretrainedTokenizer(write(tmp_path / "lower", lower))
    with pytest.raises(DataError, match="scores per byte need a tokenizer that keeps the text as it is"):
        tokenizer.encode("The end of the text")
    pieces = like_llama()
    pieces.decoder = decoders.WordPiece()
    with pytest.raises(DataError, match=r"decoder \['WordPiece'\]; only byte-level tokenizers"):
        PretrainedTokenizer(write(tmp_path / "pieces", pieces))


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match=r"has no tokenizer\.json; load it with transformers' AutoTokenizer"):
        load_pretrained(f"hf:{tmp_path}")
    with pytest.raises(DataError, match=rf"hf:{tmp_path}/none': no folder"):
        load_pretrained(f"hf:{tmp_path}/none")
