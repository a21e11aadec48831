"""Token positions of a needle example.

An example is a context of random tokens that contains the needle, random tokens too; then a query; then
the needle again, which is the answer:

    context … MARKER n1 n2 … nL … context | MARKER | n1 n2 … nL        with a marker
    context …        n1 n2 … nL … context | EOS s1 s2 s3 s4 s5 | n1 … nL   as published, without one

The marker makes the question answerable. A random needle among random tokens looks like any other part of them:
the published query is the same six tokens in every example and does not tell where the needle is. So no model
can generate it better than by guessing one of its possible positions (1 of 241 in the published size), however good
its memory. With the answer in the input, as published, the rest of it can be copied once its first token is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

MARKER = 1
EOS = 2
"""End-of-sequence token of the published tokenizer."""
MIN_RESERVED = EOS + 1
"""Low token ids that must be reserved: padding, the marker and end of sequence."""
QUERY_SYMBOLS = 5
"""The published query is EOS and the five lowest context tokens: 100 to 104."""
NUM_DEPTHS = 5
"""Equal parts of the possible positions in which retrieval is scored separately."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Sizes and positions of an example."""

    context_length: int
    """Tokens before the query, including the needle and its marker."""
    needle_length: int
    first_symbol: int
    num_symbols: int
    """Context and needle are drawn from this many token ids, from `first_symbol` on."""
    marker: bool
    """Whether a marker stands before the needle and is the query."""
    query: bool
    """Whether a query and the answer follow the context."""
    margin: int
    """Tokens at either end of the context that are never part of the needle."""
    scored: Literal["answer", "all"]
    """Which next tokens are targets."""

    @property
    def query_tokens(self) -> tuple[int, ...]:
        """The query; empty if there is none."""
        if not self.query:
            return ()
        return (MARKER,) if self.marker else (EOS, *range(self.first_symbol, self.first_symbol + QUERY_SYMBOLS))

    @property
    def answer_start(self) -> int:
        """Position of the answer's first token, `retrieval_start` in the published code."""
        return self.context_length + len(self.query_tokens)

    @property
    def length(self) -> int:
        """Tokens of an example."""
        return self.answer_start + (self.needle_length if self.query else 0)

    @property
    def first_position(self) -> int:
        """Lowest possible position of the needle's first token."""
        return self.margin + self.marker

    @property
    def num_positions(self) -> int:
        """Number of possible positions of the needle's first token; below 1 if the needle does not fit."""
        return self.context_length - 2 * self.margin - self.marker - self.needle_length + 1

    def depth_bins(self, needle_start_N: Tensor, num_bins: int) -> Tensor:
        """Return in which of `num_bins` equal ranges of its possible positions each needle is; 0 is the first."""
        return num_bins * (needle_start_N - self.first_position) // self.num_positions
