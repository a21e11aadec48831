"""RULER's frequent words: a text of made-up words with frequencies that fall as 1 / rank²; which are the first?"""

from __future__ import annotations

import math
import string
from random import Random

import numpy as np

from trainables.tasks.ruler.samples import Generator, Sample

NUM_ASKED = 3
_SUM_OF_SHARES = math.pi**2 / 6
"""Of 1 / rank² over all ranks."""
_LETTERS = 6
_TOKENS_A_CODE = 50
"""Tokens of a prompt for each different word."""
_STEPS = 32

_INPUT = (
    "Read the following coded text and track the frequency of each coded word. Find the three most frequently "
    "appeared coded words. {context}\nQuestion: Do not provide any explanation. Please ignore the dots '....'. "
    "What are the three most frequently appeared words in the above coded text?"
)
_PREFIX = " Answer: According to the coded text above, the three most frequently appeared words are:"


class FrequentCodes(Generator):
    """A text of coded words."""

    tokens_to_generate = 50

    @property
    def step(self) -> int:
        """Words of the text, repeated ones included."""
        return self._room // _STEPS

    @property
    def _room(self) -> int:
        """Tokens of a prompt."""
        return self.length - self.tokens_to_generate

    def size(self) -> int:
        """Return the size of a text that just fits; one text decides for all."""
        codes, size = self._codes(), self._room // _LETTERS
        while self.count(self._text(codes, size).prompt) < self._room:
            size += self.step
        return size - self.step

    def sample(self, size: int) -> Sample:
        """Draw a text."""
        return self._text(self._codes(), size)

    def draw(self, size: int) -> Sample:
        """Draw a text of at most `size` words that fits."""
        codes = self._codes()
        while self.tokens(self._text(codes, size)) > self.length:
            size -= self.step
        return self._text(codes, size)

    def _codes(self) -> list[str]:
        """Return different words in the order of their frequency; the first is dots, which do not count."""
        wanted = self._room // _TOKENS_A_CODE
        codes = [self._code() for _ in range(wanted)]
        while len(set(codes)) < wanted:
            codes.append(self._code())
        codes = sorted(set(codes))
        Random(self.seed).shuffle(codes)
        return ["...", *codes[1:]]

    def _code(self) -> str:
        return "".join(self.random.choices(string.ascii_lowercase, k=_LETTERS))

    def _text(self, codes: list[str], size: int) -> Sample:
        rank = np.arange(1, len(codes) + 1)
        counts = (size * rank**-2.0 / _SUM_OF_SHARES).astype(int)
        words = [code for code, count in zip(codes, counts, strict=True) for _ in range(count)]
        Random(self.seed).shuffle(words)
        return Sample(_INPUT.format(context=" ".join(words)), _PREFIX, tuple(codes[1 : 1 + NUM_ASKED]))
