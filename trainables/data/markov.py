"""Seeded synthetic text with an exactly known entropy rate, which no model can beat.

The source is a Markov chain of order 2 over 8 letters. Two letters of context determine the distribution, so a tiny
model learns it within a few hundred steps, while a model that only sees the last letter, or the context
without its order, stays measurably above the entropy rate.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

ALPHABET = "abcdefgh"
DEFAULT_LENGTH = 262_144
"""Default number of characters of the corpus `synthetic`."""

_SHARPNESS = 6.0  # transition weights are u ** 6: a few likely successors, every successor possible


@dataclass(frozen=True)
class MarkovSource:
    """A stationary source of text in which a letter depends on the two before it."""

    seed: int

    @cached_property
    def transition_PCV(self) -> NDArray[np.float64]:
        """Probability of the next letter after (letter before last, last letter); shape (V, V, V)."""
        # random.Random: its stream of random() is fixed across versions of Python, NumPy's is not.
        rng = random.Random(f"transition {self.seed}")
        size = len(ALPHABET)
        weights = np.array([rng.random() ** _SHARPNESS for _ in range(size**3)]).reshape(size, size, size)
        weights += 1e-3  # every transition is possible: the chain has one stationary distribution
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))

    @cached_property
    def stationary_PC(self) -> NDArray[np.float64]:
        """Long-run probability of each pair of successive letters; shape (V, V)."""
        size = len(ALPHABET)
        pair_step = np.zeros((size**2, size**2))
        for before in range(size):
            for last in range(size):
                row = slice(last * size, (last + 1) * size)
                pair_step[before * size + last, row] = self.transition_PCV[before, last]
        # pi (P - I) = 0 and sum(pi) = 1, by least squares over the stacked equations.
        equations = np.vstack([pair_step.T - np.eye(size**2), np.ones(size**2)])
        right_hand_side = np.append(np.zeros(size**2), 1.0)
        pairs = np.linalg.lstsq(equations, right_hand_side, rcond=None)[0]
        return np.asarray(pairs.reshape(size, size))

    @cached_property
    def entropy_bits_per_char(self) -> float:
        """Exact entropy rate: the score of the best possible model on infinite text."""
        transition = self.transition_PCV
        entropy_PC = -(transition * np.log2(transition)).sum(axis=-1)
        return float((self.stationary_PC * entropy_PC).sum())

    def text(self, length: int) -> str:
        """Draw `length` characters; a longer text begins with the shorter one."""
        rng = random.Random(f"text {self.seed}")
        size = len(ALPHABET)
        pairs = list(accumulate(self.stationary_PC.ravel().tolist()))
        start = min(bisect(pairs, rng.random()), size**2 - 1)
        before, last = divmod(start, size)
        rows = [[list(accumulate(row)) for row in table] for table in self.transition_PCV.tolist()]
        letters = [before, last]
        draw, top = rng.random, size - 1
        for _ in range(length - 2):
            before, last = last, min(bisect(rows[before][last], draw()), top)
            letters.append(last)
        return "".join(ALPHABET[letter] for letter in letters[:length])

    def bits_per_char(self, text: str) -> float:
        """Return the source's own score on `text`, from its third character on.

        On finite text this, not the entropy rate, is the score that a model can beat only by chance.
        """
        code = _code(text)
        probability = self.transition_PCV[code[:-2], code[1:-1], code[2:]]
        return float(-np.log2(probability).mean())

    def line_bits(self, text: str, end: str) -> float:
        """Return the source's score, per character, of lines that end with the letter `end`, which is not scored.

        Each line is scored from its second character on, given that the line is not over: a model of
        single lines can beat it only by chance.
        """
        code, stop = _code(end + text), ALPHABET.index(end)
        before, last, after = code[:-2], code[1:-1], code[2:]
        probability = self.transition_PCV[before, last, after] / (1 - self.transition_PCV[before, last, stop])
        is_scored = (last != stop) & (after != stop)
        return float(-np.log2(probability[is_scored]).mean())


def _code(text: str) -> NDArray[np.int64]:
    """Return the number of each letter."""
    return np.array([ALPHABET.index(letter) for letter in text])


@lru_cache(maxsize=4)
def synthetic_text(seed: int, length: int) -> str:
    """Return the text of `MarkovSource(seed)`; cached, because every trial of a sweep needs it."""
    if length < 3 or not math.isfinite(length):
        raise ValueError(f"synthetic text needs at least 3 characters, got {length}")
    return MarkovSource(seed).text(length)
