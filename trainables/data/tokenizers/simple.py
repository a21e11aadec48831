"""Tokenizers of bytes and of characters."""

from __future__ import annotations

import numpy as np

from trainables.data.tokenizers.base import NUM_BYTES, Tokenizer, Tokens, begins_character


class ByteTokenizer(Tokenizer):
    """One token per UTF-8 byte: 256 tokens, whatever the corpus."""

    name = "byte"

    def __init__(self) -> None:
        self.bytes_per_token_V = np.ones(NUM_BYTES, dtype=np.int64)
        self.chars_per_token_V = np.array([begins_character(b) for b in range(NUM_BYTES)], dtype=np.int64)

    def encode(self, text: str) -> Tokens:
        """Return the UTF-8 bytes of `text`."""
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int32)

    def decode(self, tokens: Tokens) -> str:
        """Decode `tokens` as UTF-8."""
        return tokens.astype(np.uint8).tobytes().decode("utf-8", errors="replace")


class CharTokenizer(Tokenizer):
    """One token for each distinct character of the corpus, in order of code points, as in nanoGPT."""

    name = "char"

    def __init__(self, symbols: str) -> None:
        if not symbols or list(symbols) != sorted(set(symbols)):
            raise ValueError("symbols must be different characters in ascending order, at least one")
        self.symbols = symbols
        self._code_points_V = np.array([ord(symbol) for symbol in symbols], dtype=np.uint32)
        self.bytes_per_token_V = np.array([len(s.encode("utf-8")) for s in symbols], dtype=np.int64)
        self.chars_per_token_V = np.ones(len(symbols), dtype=np.int64)

    def encode(self, text: str) -> Tokens:
        """Return the id of each character.

        Raises:
            ValueError: If a character is not in the vocabulary.
        """
        code_points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        tokens = np.searchsorted(self._code_points_V, code_points)
        tokens = np.minimum(tokens, len(self.symbols) - 1)
        unknown = code_points[self._code_points_V[tokens] != code_points]
        if unknown.size:
            raise ValueError(f"character {chr(unknown[0])!r} is not in the vocabulary of {self.vocab_size}")
        return tokens.astype(np.int32)

    def decode(self, tokens: Tokens) -> str:
        """Return the characters with these ids."""
        return self._code_points_V[tokens].astype("<u4").tobytes().decode("utf-32-le")
