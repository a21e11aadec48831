"""Token positions of a recall example.

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

BLANK = 0
MARKER = 1
"""Precedes each query, if the task has a marker; otherwise it is an ordinary key."""
POOL_MARKER = 3
"""The marker if keys and values share a pool, which begins after it, as published; tokens 1 and 2 are not used."""

Filler = Literal["blank", "other_keys", "any_token"]


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
