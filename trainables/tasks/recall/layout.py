"""Token positions of a recall example, and how examples are drawn.

An example has pairs of a key and its value, followed by queries: keys, each once, in slots that are spread out:

    k1 v1 k2 v2 … kK vK | k2 . | .  . | kK . | k1 . | …         answers withheld, as published for MQAR
    k1 v1 k2 v2 … kK vK | k2 v2 | . . | kK vK | k1 v1 | …       answers given
    k1 v1 k2 v2 … kK vK | ? k2 | ? kK | …                       with a marker, withheld: the published TPI task

The target at a query is the value of its key. If answers are given, earlier answers narrow down the remaining
ones; see `metrics`. As published, keys and values come from one pool of tokens, so that a token does not say which
of the two it is, and a key may be queried more than once.

Source:
    Arora et al. (2023), "Zoology", arXiv:2312.04927, section 4 and appendix; gaps between a pair and its query
    follow a power law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainables.batch import IGNORED
from trainables.tasks.synthetic import Examples

BLANK = 0
MARKER = 1
"""Precedes each query, if the task has a marker; otherwise it is an ordinary key."""
POOL_MARKER = 3
"""The marker if keys and values share a pool, which begins after it, as published; tokens 1 and 2 are not used."""

Filler = Literal["blank", "other_keys", "any_token"]


@dataclass(frozen=True, kw_only=True)
class RecallExamples(Examples):
    """Examples of one layout."""

    values_NK: Tensor
    """The values of the pairs, in order."""
    distance_NQ: Tensor
    """Tokens from the key in its pair to the query, in order of the queries."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Sizes and positions of an example."""

    length: int
    vocab_size: int
    num_pairs: int
    num_queries: int
    marker: bool
    """Whether a marker stands before each query."""
    answers_given: bool
    """Whether the answer follows its query in the input."""
    unique_values: bool
    """Whether all values of an example are different."""
    shared_pool: bool
    """Whether keys and values come from one pool of tokens."""
    repeated_queries: bool
    """Whether a key may be queried more than once."""
    power: float
    """Slot i of the queries is chosen with a probability proportional to i^(power - 1)."""
    filler: Filler
    """What fills the positions between pairs and queries."""

    @property
    def first_key(self) -> int:
        """Lowest key; keys end where values begin, or with the vocabulary if both share a pool."""
        return POOL_MARKER + 1 if self.shared_pool else MARKER + self.marker

    @property
    def first_value(self) -> int:
        """Lowest value; values end with the vocabulary."""
        return self.first_key if self.shared_pool else self.vocab_size // 2

    @property
    def num_keys(self) -> int:
        """Number of different keys."""
        return self.num_values if self.shared_pool else self.first_value - self.first_key

    @property
    def num_values(self) -> int:
        """Number of different values."""
        return self.vocab_size - self.first_value

    @property
    def slot_width(self) -> int:
        """Tokens of a slot: the query, a marker before it, and the answer or filler in its place.

        With a marker nothing takes the place of a withheld answer, as published.
        """
        return 1 + self.marker + (self.answers_given or not self.marker)

    @property
    def num_slots(self) -> int:
        """Number of possible slots of a query."""
        return (self.length - 2 * self.num_pairs) // self.slot_width

    def draw(self, size: int, generator: torch.Generator) -> RecallExamples:
        """Draw examples, on the CPU; `generator` is the only source of randomness."""
        num_pairs = self.num_pairs
        keys_NP = self.first_key + _permutations(size, self.num_keys, generator)
        values_NK = self.first_value + self._values(size, generator)
        tokens_NT = self._filling(size, keys_NP[:, num_pairs:], generator)
        tokens_NT[:, 0 : 2 * num_pairs : 2] = keys_NP[:, :num_pairs]
        tokens_NT[:, 1 : 2 * num_pairs : 2] = values_NK
        pair_NQ = self._asked(size, generator)
        position_NQ = 2 * num_pairs + self.slot_width * self._slots(size, generator) + self.marker
        answer_NQ = values_NK.gather(1, pair_NQ)
        tokens_NT.scatter_(1, position_NQ, keys_NP.gather(1, pair_NQ))
        if self.marker:
            tokens_NT.scatter_(1, position_NQ - 1, POOL_MARKER if self.shared_pool else MARKER)
        if self.answers_given:
            tokens_NT.scatter_(1, position_NQ + 1, answer_NQ)
        return RecallExamples(
            tokens_NT=tokens_NT,
            targets_NT=torch.full_like(tokens_NT, IGNORED).scatter_(1, position_NQ, answer_NQ),
            values_NK=values_NK,
            distance_NQ=position_NQ - 2 * pair_NQ,
        )

    def _values(self, size: int, generator: torch.Generator) -> Tensor:
        if self.unique_values:
            return _permutations(size, self.num_values, generator)[:, : self.num_pairs]
        return torch.randint(self.num_values, (size, self.num_pairs), generator=generator)

    def _asked(self, size: int, generator: torch.Generator) -> Tensor:
        """Return which pairs are queried, in the order of the queries."""
        if self.repeated_queries:
            return torch.randint(self.num_pairs, (size, self.num_queries), generator=generator)
        return _permutations(size, self.num_pairs, generator)[:, : self.num_queries]

    def _slots(self, size: int, generator: torch.Generator) -> Tensor:
        """Return the slots of the queries in ascending order."""
        weight_S = torch.arange(1, self.num_slots + 1, dtype=torch.float64) ** (self.power - 1)
        slot_NQ = torch.multinomial(weight_S.expand(size, -1), self.num_queries, generator=generator)
        return slot_NQ.sort(1).values

    def _filling(self, size: int, others_NR: Tensor, generator: torch.Generator) -> Tensor:
        """Return examples of filler only.

        Args:
            size: How many.
            others_NR: Keys that each example does not use.
            generator: Of the filler.
        """
        shape = (size, self.length)
        if self.filler == "blank":
            return torch.full(shape, BLANK)
        if self.filler == "any_token":
            return torch.randint(self.vocab_size, shape, generator=generator)
        return others_NR.gather(1, torch.randint(others_NR.shape[1], shape, generator=generator))


def _permutations(size: int, num: int, generator: torch.Generator) -> Tensor:
    """Return `size` random orders of the numbers below `num`."""
    return torch.rand(size, num, generator=generator).argsort(1)
