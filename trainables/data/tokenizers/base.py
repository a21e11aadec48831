"""Text to token ids and back, with the exact number of bytes and characters of every token.

Scores per token are incomparable between tokenizers; scores per byte are not. So each tokenizer knows, for each
token, how many UTF-8 bytes it covers and how many characters *begin* in it: summed over any range of tokens, both
are exact. (A pretrained tokenizer may prepend a space to the text, which its first token then includes; no task
scores the first token.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]

NUM_BYTES = 256


def begins_character(byte: int) -> bool:
    """Return whether a byte of UTF-8 starts a character; the others (10xxxxxx) continue one."""
    return byte & 0xC0 != 0x80


class Tokenizer(ABC):
    """A reversible map between text and token ids below `vocab_size`."""

    name: str
    padding: int | None = None
    """The padding token for short lines, if the tokenizer has one."""
    end: int | None = None
    """The token that ends a text, or a turn of a chat, if the tokenizer has one."""
    sha256: str | None = None
    """Hash of the tokenizer's content, if neither a field nor the corpus determines it."""
    bytes_per_token_V: NDArray[np.int64]
    """Number of UTF-8 bytes of each token."""
    chars_per_token_V: NDArray[np.int64]
    """Number of characters whose first byte is in each token."""

    @property
    def vocab_size(self) -> int:
        """Number of different tokens."""
        return len(self.bytes_per_token_V)

    @abstractmethod
    def encode(self, text: str) -> Tokens:
        """Return the tokens of `text`."""

    @abstractmethod
    def decode(self, tokens: Tokens) -> str:
        """Return the text of `tokens`; an incomplete character becomes U+FFFD."""


def byte_level_piece(spelling: str) -> bytes:
    """Return the bytes of a token from its spelling in byte-level BPE."""
    return bytes(_byte_of()[letter] for letter in spelling)


@lru_cache(maxsize=1)
def _byte_of() -> dict[str, int]:
    """Return the byte that each printable letter stands for in byte-level BPE.

    Source:
        The table of GPT-2's encoder: printable Latin-1 maps to itself, the rest from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = iter(range(0x100, 0x200))
    return {chr(byte) if byte in printable else chr(next(moved)): byte for byte in range(NUM_BYTES)}
