"""RULER's common words: a numbered list of words, of which ten are more frequent than the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from random import Random

from trainables.data.errors import DataError
from trainables.tasks.ruler.samples import SHORT, BisectedGenerator, Sample
from trainables.tasks.ruler.word_lists import word_list

NUM_COMMON = 10
_GUESSED_FROM = 4096
"""Words of the context from which the tokens of a word are estimated."""

_INPUT = (
    "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that "
    "appear most often.\n{context}\nQuestion: What are the 10 most common words in the above list?"
)
_PREFIX = " Answer: The top 10 words that appear most often in the list are:"


class CommonWords(BisectedGenerator):
    """A list of words, after a short worked example."""

    tokens_to_generate = 120

    def __init__(self, length: int, seed: int, count: Callable[[str], int]) -> None:
        super().__init__(length, seed, count)
        self._words = _shuffled(seed)
        self._is_short = length < SHORT

    @property
    def step(self) -> int:
        """Different words."""
        return 10

    def largest_guess(self) -> int:
        """Return twice as many words as should fit."""
        per_word = self.count(self.sample(_GUESSED_FROM).prompt) / _GUESSED_FROM
        return int(self.length // per_word) * 2

    def sample(self, size: int) -> Sample:
        """Draw a list of `size` different words."""
        example, solved = self._listed(20, 3, 1) if self._is_short else self._listed(40, 10, 3)
        context, common = self._listed(size, 6, 1) if self._is_short else self._listed(size, 30, 3)
        text = f"{_INPUT.format(context=example)}{_PREFIX} {_numbered(solved)}\n{_INPUT.format(context=context)}"
        return Sample(text, _PREFIX, tuple(common))

    def answer(self, sample: Sample) -> str:
        """Return the common words with their numbers, as in the example."""
        return f" {_numbered(sample.outputs)}"

    def _listed(self, size: int, common_repeats: int, other_repeats: int) -> tuple[str, list[str]]:
        """Return a list in which ten of `size` words stand `common_repeats` times, and those ten."""
        if size > len(self._words):
            raise DataError(
                f"cwe at {self.length:,} tokens takes {size:,} different words, and there are "
                f"{len(self._words):,}; set lengths lower, or leave the task out"
            )
        drawn = self.random.sample(self._words, size)
        common, others = drawn[:NUM_COMMON], drawn[NUM_COMMON:]
        words = common * common_repeats + others * other_repeats
        Random(self.seed).shuffle(words)
        return _numbered(words), common


def _numbered(words: list[str] | tuple[str, ...]) -> str:
    return " ".join(f"{number}. {word}" for number, word in enumerate(words, start=1))


@lru_cache(maxsize=4)
def _shuffled(seed: int) -> list[str]:
    words = sorted({*word_list("nouns"), *word_list("adjectives"), *word_list("verbs")})
    Random(seed).shuffle(words)
    return words
