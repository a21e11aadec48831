"""The tokenizers of pretrained models, read from `tokenizer.json`, with the number of bytes of every token."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.errors import DataError
from trainables.data.pretrained_files import find_source
from trainables.data.tokenizers.base import Tokenizer, Tokens, begins_character, byte_level_piece

TOKENIZER_FILE = "tokenizer.json"


class PretrainedTokenizer(Tokenizer):
    """The tokenizer of a pretrained model: byte-level as GPT-2's and Qwen2's, or with spaces written as `▁` and
    byte tokens for characters without a token, as Llama's and Mistral's. Special tokens are never added."""

    name = "hf"

    def __init__(self, file: Path) -> None:
        """Read a `tokenizer.json`; other files in its folder define the padding token.

        Raises:
            DataError: If it is of a kind whose bytes per token cannot be determined.
        """
        from tokenizers import Tokenizer as Backend

        content = file.read_bytes()
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._file, self._backend = file, Backend.from_file(str(file))
        self._backend.no_truncation()
        self._backend.no_padding()
        kinds = set(_kinds(json.loads(content).get("decoder") or {}))
        if "ByteLevel" in kinds:
            spelled = byte_level_piece
        elif kinds & {"Metaspace", "Replace"}:
            spelled = _with_spaces
        else:
            raise DataError(
                f"tokenizer {file}: decoder {sorted(kinds) or 'missing'}; only byte-level tokenizers, and those "
                "that write a space as ▁, can be counted in bytes"
            )
        pieces = list(_pieces(self._backend, spelled))
        self.bytes_per_token_V = np.array([len(piece) for piece in pieces], dtype=np.int64)
        self.chars_per_token_V = np.array([sum(map(begins_character, piece)) for piece in pieces], dtype=np.int64)
        # Without a padding token the end stands in for it, as is usual, and as published.
        self.padding = _special(file.parent, self._backend, "pad_token", "eos_token")
        self.end = _special(file.parent, self._backend, "eos_token")

    def encode(self, text: str) -> Tokens:
        """Return the tokens of `text`.

        Raises:
            DataError: If the tokens do not reproduce the text: the tokenizer changes it, as an uncased one does.
        """
        tokens = np.array(self._backend.encode(text, add_special_tokens=False).ids, dtype=np.int32)
        spelled, given = int(self.bytes_per_token_V[tokens].sum()), len(text.encode("utf-8"))
        if spelled - given not in {0, 1}:
            raise DataError(
                f"tokenizer {self._file}: its tokens spell {spelled:,} bytes for a text of {given:,}; scores per "
                "byte need a tokenizer that keeps the text as it is"
            )
        return tokens

    def decode(self, tokens: Tokens) -> str:
        """Return the text that `tokens` spell."""
        return str(self._backend.decode(tokens.tolist(), skip_special_tokens=False))


def _kinds(decoder: dict[str, Any]) -> Iterator[str]:
    """Yield the type of a decoder and of its nested decoders."""
    yield str(decoder.get("type"))
    for inner in decoder.get("decoders", ()):
        yield from _kinds(inner)


def _with_spaces(spelling: str) -> bytes:
    single = re.fullmatch("<0x([0-9A-F]{2})>", spelling)
    return bytes.fromhex(single[1]) if single else spelling.replace("▁", " ").encode("utf-8")


def _pieces(backend: Any, spelled: Callable[[str], bytes]) -> Iterator[bytes]:
    """Yield the bytes of each token; none for an id without a token."""
    added = backend.get_added_tokens_decoder()
    for token in range(backend.get_vocab_size()):
        spelling = backend.id_to_token(token)
        if token in added:
            yield added[token].content.encode("utf-8")
        else:
            yield b"" if spelling is None else spelled(spelling)


def _special(folder: Path, backend: Any, *roles: str) -> int | None:
    """Return the token that a folder declares in the first of several roles; None if it declares none."""
    file = folder / "tokenizer_config.json"
    declared = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for role in roles:
        token = declared.get(role)
        content = token.get("content") if isinstance(token, dict) else token
        if content is not None:
            found: int | None = backend.token_to_id(content)
            return found
    return None


@lru_cache(maxsize=4)
def load_pretrained(source: str) -> PretrainedTokenizer:
    """Return the tokenizer of a pretrained model; cached, because every trial of a sweep needs it.

    Args:
        source: See `pretrained_files`.

    Raises:
        DataError: If there is none.
    """
    return PretrainedTokenizer(find_tokenizer(source))


def find_tokenizer(source: str) -> Path:
    """Return the file of a pretrained model's tokenizer.

    Args:
        source: See `pretrained_files`.

    Raises:
        DataError: If there is none.
    """
    try:
        folder = find_source(source, weights=False)
    except ValueError as error:
        raise DataError(f"tokenizer of {error}") from None
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        raise DataError(
            f"tokenizer '{source}': {folder} has no {TOKENIZER_FILE}; load it with transformers' AutoTokenizer "
            "and write it there with save_pretrained"
        )
    return file
