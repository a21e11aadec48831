"""Text to token numbers and back, with the exact bytes and characters that every token stands for.

Scores per token are incomparable between tokenizers; scores per byte are not. So each tokenizer knows, for
each token, how many UTF-8 bytes it covers and how many characters *begin* in it: summed over any stretch of
tokens, both are exact. (A pretrained tokenizer may put a space before the text, which its first token then counts;
no task scores the first token.)
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.tasks.base import DataError

Tokens = NDArray[np.int32]

EMBEDDED = ("bpe", "byte", "char")
NUM_BYTES = 256
PRETRAINED = "hf:"
"""Before the folder or repository of a pretrained model whose tokenizer is meant."""


def check_tokenizer_name(spec: str) -> str:
    """Return `spec` if it names a tokenizer, existing or not.

    Raises:
        ValueError: If it does not; the message gives the nearest name.
    """
    if spec in EMBEDDED or (spec.startswith(PRETRAINED) and spec != PRETRAINED):
        return spec
    near = difflib.get_close_matches(spec, EMBEDDED, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ValueError(f"unknown tokenizer '{spec}'; {hint}known: {', '.join(EMBEDDED)}, hf:PATH_OR_REPOSITORY")


def absolute_tokenizer(spec: str) -> str:
    """Return the name of a tokenizer with the path of a local folder made absolute."""
    from trainables.architectures.pretrained_source import absolute_source

    source = spec.removeprefix(PRETRAINED)
    return spec if source == spec else f"{PRETRAINED}{absolute_source(source)}"


def begins_character(byte: int) -> bool:
    """Return whether a byte of UTF-8 opens a character; the others (10xxxxxx) continue one."""
    return byte & 0xC0 != 0x80


class Tokenizer(ABC):
    """A reversible map between text and token numbers below `vocab_size`."""

    name: str
    padding: int | None = None
    """The token that fills up short lines, if the tokenizer has one of its own."""
    sha256: str | None = None
    """Hash of the tokenizer's own content, where neither a field nor the corpus decides it."""
    bytes_per_token_V: NDArray[np.int64]
    """UTF-8 bytes that each token stands for."""
    chars_per_token_V: NDArray[np.int64]
    """Characters whose first byte lies in each token."""

    @property
    def vocab_size(self) -> int:
        """Number of different tokens."""
        return len(self.bytes_per_token_V)

    @abstractmethod
    def encode(self, text: str) -> Tokens:
        """Return the tokens of `text`."""

    @abstractmethod
    def decode(self, tokens: Tokens) -> str:
        """Return the text of `tokens`; a stretch that cuts a character shows U+FFFD in its place."""


class ByteTokenizer(Tokenizer):
    """One token for each byte of UTF-8: 256 tokens, whatever the corpus."""

    name = "byte"

    def __init__(self) -> None:
        self.bytes_per_token_V = np.ones(NUM_BYTES, dtype=np.int64)
        self.chars_per_token_V = np.array([begins_character(b) for b in range(NUM_BYTES)], dtype=np.int64)

    def encode(self, text: str) -> Tokens:
        """Return the UTF-8 bytes of `text`."""
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int32)

    def decode(self, tokens: Tokens) -> str:
        """Read `tokens` as UTF-8."""
        return tokens.astype(np.uint8).tobytes().decode("utf-8", errors="replace")


class CharTokenizer(Tokenizer):
    """One token for each different character of the corpus, in order of code points, as nanoGPT does."""

    name = "char"

    def __init__(self, symbols: str) -> None:
        if not symbols or list(symbols) != sorted(set(symbols)):
            raise ValueError("symbols must be different characters in ascending order, at least one")
        self.symbols = symbols
        self._code_points_V = np.array([ord(symbol) for symbol in symbols], dtype=np.uint32)
        self.bytes_per_token_V = np.array([len(s.encode("utf-8")) for s in symbols], dtype=np.int64)
        self.chars_per_token_V = np.ones(len(symbols), dtype=np.int64)

    def encode(self, text: str) -> Tokens:
        """Return the number of each character.

        Raises:
            ValueError: If a character is none of the symbols.
        """
        code_points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        tokens = np.searchsorted(self._code_points_V, code_points)
        tokens = np.minimum(tokens, len(self.symbols) - 1)
        unknown = code_points[self._code_points_V[tokens] != code_points]
        if unknown.size:
            raise ValueError(f"character {chr(unknown[0])!r} is not in the vocabulary of {self.vocab_size}")
        return tokens.astype(np.int32)

    def decode(self, tokens: Tokens) -> str:
        """Return the characters that `tokens` number."""
        return self._code_points_V[tokens].astype("<u4").tobytes().decode("utf-32-le")


class BpeTokenizer(Tokenizer):
    """Byte-level byte-pair encoding: learnt on training text, able to represent any text."""

    name = "bpe"

    def __init__(self, training_text: str, vocab_size: int) -> None:
        """Learn the merges.

        Args:
            training_text: The training split only: merges learnt on held-out text would leak it.
            vocab_size: Most tokens to make, at least 256; a short text can give fewer.
        """
        if vocab_size < NUM_BYTES:
            raise ValueError(f"a byte-level vocabulary has at least {NUM_BYTES} tokens, got {vocab_size}")
        self._backend = _train_bpe(training_text, vocab_size)
        pieces = [byte_level_piece(self._backend.id_to_token(t)) for t in range(self._backend.get_vocab_size())]
        self.bytes_per_token_V = np.array([len(piece) for piece in pieces], dtype=np.int64)
        self.chars_per_token_V = np.array([sum(map(begins_character, piece)) for piece in pieces], dtype=np.int64)

    def encode(self, text: str) -> Tokens:
        """Return the tokens of `text` under the learnt merges."""
        return np.array(self._backend.encode(text).ids, dtype=np.int32)

    def decode(self, tokens: Tokens) -> str:
        """Return the text whose bytes `tokens` spell."""
        return str(self._backend.decode(tokens.tolist(), skip_special_tokens=False))


def byte_level_piece(spelling: str) -> bytes:
    """Return the bytes of a token as byte-level BPE spells it."""
    return bytes(_byte_of()[letter] for letter in spelling)


@lru_cache(maxsize=1)
def _byte_of() -> dict[str, int]:
    """Return the byte that byte-level BPE writes as each printable letter.

    Source:
        The table of GPT-2's encoder: printable Latin-1 stands for itself, the rest is moved to U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = iter(range(0x100, 0x200))
    return {chr(byte) if byte in printable else chr(next(moved)): byte for byte in range(NUM_BYTES)}


@lru_cache(maxsize=2)
def _train_bpe(training_text: str, vocab_size: int) -> Any:
    """Learn merges; remembered, because every trial of a sweep asks for the same ones."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # every byte, seen in training or not
        special_tokens=[],
        show_progress=False,
    )
    backend.train_from_iterator([training_text], trainer=trainer)
    return backend


def build_tokenizer(
    name: str, *, corpus_text: tuple[str, ...], training_text: str, bpe_vocab_size: int
) -> Tokenizer:
    """Return the tokenizer called `name`.

    Args:
        name: `char`, `byte`, `bpe`, or `hf:` and the folder or repository of a pretrained model.
        corpus_text: All splits; `char` takes its symbols from them.
        training_text: `bpe` learns its merges from this and nothing else.
        bpe_vocab_size: Most tokens of `bpe`.

    Raises:
        DataError: If the corpus is empty, or a pretrained tokenizer cannot be had.
    """
    if not training_text:
        raise DataError("the training split is empty; there is nothing to build a tokenizer from")
    if name == "byte":
        return ByteTokenizer()
    if name == "char":
        return CharTokenizer("".join(sorted(set().union(*corpus_text))))
    if name == "bpe":
        return BpeTokenizer(training_text, bpe_vocab_size)
    from trainables.tasks.pretrained_tokenizer import load_pretrained

    return load_pretrained(name.removeprefix(PRETRAINED))
