"""Text to token numbers and back, with the exact bytes and characters that every token stands for.

Scores per token are incomparable between tokenizers; scores per byte are not. So each tokenizer knows, for
each token, how many UTF-8 bytes it covers and how many characters *begin* in it: summed over any stretch of
tokens, both are exact. (A pretrained tokenizer may put a space before the text, which its first token then counts;
no task scores the first token.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]

NUM_BYTES = 256


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
