"""Haystacks: as many whole sentences as fit into a length, and the place between them for a depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.data.tokenizers.base import Tokenizer
from trainables.tasks.niah.wording import Wording, answer_text


class Place(NamedTuple):
    """Where a needle is put."""

    sentences: int
    """In the whole haystack."""
    before: int
    """Of them, before the needle."""
    depth: float
    """Tokens before the needle as a fraction of the haystack's, the instruction not counted."""


class Haystack:
    """Sentences that are repeated without end, from one of them on.

    Args:
        tokenizer: Text to tokens.
        wording: What stands around them.
        sentences: At least one.
        start: The first one.
        longest: Most tokens that will be asked for.
    """

    def __init__(
        self, tokenizer: Tokenizer, wording: Wording, sentences: Sequence[str], start: int, longest: int
    ) -> None:
        self.tokenizer, self.wording = tokenizer, wording
        self._all, self._start = sentences, start
        count = 16
        self.end_N = self._ends(count)
        while self.end_N[-1] < longest:
            count *= 2
            self.end_N = self._ends(count)

    def sentences(self, count: int) -> list[str]:
        """Return the first `count` sentences."""
        return [self._all[(self._start + place) % len(self._all)] for place in range(count)]

    def _ends(self, count: int) -> NDArray[np.int64]:
        """Return the tokens up to the end of each number of sentences, from 0 to `count`."""
        head, tokenizer, sentences = self.wording.head, self.tokenizer, self.sentences(count)
        tokens_T = tokenizer.encode(head + " ".join(sentences))
        bytes_T = np.cumsum(tokenizer.bytes_per_token_V[tokens_T])
        sizes = [len(head.encode("utf-8")), *(len(sentence.encode("utf-8")) + 1 for sentence in sentences)]
        byte_N = np.cumsum(sizes)
        byte_N[1:] -= 1  # the space after the last sentence
        byte_N += bytes_T[-1] - byte_N[-1]  # one that the tokenizer puts in front
        end_N = np.where(byte_N > 0, np.searchsorted(bytes_T, byte_N, side="left") + 1, 0)
        return end_N - end_N[0]

    def fit(self, length: int, answer: str) -> int:
        """Return the largest number of sentences whose prompt and answer have at most `length` tokens; 0: none."""
        free = length - self._tokens(answer, 0)
        count = int(np.searchsorted(self.end_N, max(free, 0), side="right")) - 1
        while count > 0 and self._tokens(answer, count) > length:
            count -= 1
        return count

    def smallest(self, answer: str) -> int:
        """Return the tokens of the shortest prompt, with a single sentence, and its answer."""
        return self._tokens(answer, 1)

    def _tokens(self, answer: str, count: int) -> int:
        text = self.wording.prompt(answer, self.sentences(count), count) + answer_text(answer)
        return len(self.tokenizer.encode(text))

    def place(self, count: int, depth: float) -> Place:
        """Return the last end of a sentence at or before a depth, in a haystack of `count` sentences."""
        total = int(self.end_N[count])
        before = int(np.searchsorted(self.end_N[: count + 1], depth * total + 1e-9, side="right")) - 1
        return Place(count, before, float(self.end_N[before]) / total)
