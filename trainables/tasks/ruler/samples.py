"""What every generator of RULER does: find the size of a context that fits, then draw samples of at most that size.

Prompts are to be equal to the published ones, letter by letter. So each random number is drawn from the same
generator in the same order, the search for a size included: `random.Random` and NumPy's `RandomState` with one seed
are what the published scripts draw from globally.

Source:
    Hsieh et al. (2024), "RULER: What's the real context size of your long-context language models?",
    arXiv:2404.06654; the scripts of github.com/NVIDIA/RULER, scripts/data/synthetic, in their form of 2025, which
    searches sizes by bisection (Apache-2.0, copyright NVIDIA Corporation). Written anew from what they do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import ClassVar, NamedTuple

from trainables.data.errors import DataError

SHORT = 4096
"""Below this length contexts are made of smaller pieces."""
_MOST_DRAWS = 100
"""Samples drawn at the smallest size before a length counts as too short."""


class Sample(NamedTuple):
    """A prompt and its answers."""

    text: str
    """The prompt up to the question; the published field `input`."""
    answer_prefix: str
    """How the answer begins, which follows the prompt."""
    outputs: tuple[str, ...]
    """What a complete answer contains."""

    @property
    def prompt(self) -> str:
        """Everything that the model reads."""
        return self.text + self.answer_prefix


class Generator(ABC):
    """Draws the samples of one task at one length.

    Args:
        length: Most tokens of a prompt with what is generated.
        seed: The published `random_seed`.
        count: Returns the number of a text's tokens.
    """

    tokens_to_generate: ClassVar[int]

    def __init__(self, length: int, seed: int, count: Callable[[str], int]) -> None:
        self.length, self.seed, self.count = length, seed, count
        self.random = Random(seed)

    def reseed(self, seed: int) -> None:
        """Continue as if drawing began now, with this seed."""
        self.random.seed(seed)

    @property
    @abstractmethod
    def step(self) -> int:
        """The smallest size, and by how much one is reduced that does not fit."""

    @abstractmethod
    def sample(self, size: int) -> Sample:
        """Draw a sample with a context of `size` pieces."""

    def answer(self, sample: Sample) -> str:
        """Return a complete answer, as it follows the prompt."""
        return " " + " ".join(sample.outputs)

    def tokens(self, sample: Sample) -> int:
        """Return the tokens of a sample and of what is generated."""
        return self.count(sample.prompt) + self.tokens_to_generate

    @abstractmethod
    def size(self) -> int:
        """Return the size to draw samples with."""

    def draw(self, size: int) -> Sample:
        """Draw a sample that fits, of at most `size`.

        Raises:
            DataError: If none does, even of the smallest size.
        """
        for _ in range(size // self.step + _MOST_DRAWS):
            sample = self.sample(size)
            if self.tokens(sample) <= self.length:
                return sample
            size = size - self.step if size > self.step else size
        raise DataError(
            f"{self.length} tokens are too few: the smallest prompt and its answer take "
            f"{self.tokens(sample):,}; set the length higher, or leave the task out"
        )


class BisectedGenerator(Generator):
    """A generator whose size is found by bisection."""

    @abstractmethod
    def largest_guess(self) -> int:
        """Return a size that certainly does not fit; what this takes is drawn first."""

    def tokens_of_size(self, size: int) -> int:
        """Draw a sample to find the size with, and return its tokens."""
        return self.tokens(self.sample(size))

    def size(self) -> int:
        """Return the size to draw samples with, by bisection; a draw decides for all of its size."""
        low, high, found = self.step, max(self.largest_guess(), 2 * self.step), self.step
        while low <= high:
            middle = (low + high) // 2
            if self.tokens_of_size(middle) <= self.length:
                found, low = middle, middle + 1
            else:
                high = middle - 1
        return found
