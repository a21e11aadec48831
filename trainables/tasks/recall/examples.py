"""How the examples of the recall task are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.batch import IGNORED
from trainables.tasks.recall.layout import BLANK, MARKER, POOL_MARKER, Layout
from trainables.tasks.synthetic.task import Examples


@dataclass(frozen=True, kw_only=True)
class RecallExamples(Examples):
    """Examples of one layout."""

    values_NK: Tensor
    """The values of the pairs, in order."""
    distance_NQ: Tensor
    """Tokens from the key in its pair to the query, in order of the queries."""


def draw(layout: Layout, size: int, generator: torch.Generator) -> RecallExamples:
    """Draw examples, on the CPU; `generator` is the only source of randomness."""
    num_pairs = layout.num_pairs
    keys_NP = layout.first_key + _permutations(size, layout.num_keys, generator)
    values_NK = layout.first_value + _values(layout, size, generator)
    tokens_NT = _filling(layout, size, keys_NP[:, num_pairs:], generator)
    tokens_NT[:, 0 : 2 * num_pairs : 2] = keys_NP[:, :num_pairs]
    tokens_NT[:, 1 : 2 * num_pairs : 2] = values_NK
    pair_NQ = _asked(layout, size, generator)
    position_NQ = 2 * num_pairs + layout.slot_width * _slots(layout, size, generator) + layout.marker
    answer_NQ = values_NK.gather(1, pair_NQ)
    tokens_NT.scatter_(1, position_NQ, keys_NP.gather(1, pair_NQ))
    if layout.marker:
        tokens_NT.scatter_(1, position_NQ - 1, POOL_MARKER if layout.shared_pool else MARKER)
    if layout.answers_given:
        tokens_NT.scatter_(1, position_NQ + 1, answer_NQ)
    return RecallExamples(
        tokens_NT=tokens_NT,
        targets_NT=torch.full_like(tokens_NT, IGNORED).scatter_(1, position_NQ, answer_NQ),
        values_NK=values_NK,
        distance_NQ=position_NQ - 2 * pair_NQ,
    )


def _values(layout: Layout, size: int, generator: torch.Generator) -> Tensor:
    if layout.unique_values:
        return _permutations(size, layout.num_values, generator)[:, : layout.num_pairs]
    return torch.randint(layout.num_values, (size, layout.num_pairs), generator=generator)


def _asked(layout: Layout, size: int, generator: torch.Generator) -> Tensor:
    """Return which pairs are queried, in the order of the queries."""
    if layout.repeated_queries:
        return torch.randint(layout.num_pairs, (size, layout.num_queries), generator=generator)
    return _permutations(size, layout.num_pairs, generator)[:, : layout.num_queries]


def _slots(layout: Layout, size: int, generator: torch.Generator) -> Tensor:
    """Return the slots of the queries in ascending order."""
    weight_S = torch.arange(1, layout.num_slots + 1, dtype=torch.float64) ** (layout.power - 1)
    slot_NQ = torch.multinomial(weight_S.expand(size, -1), layout.num_queries, generator=generator)
    return slot_NQ.sort(1).values


def _filling(layout: Layout, size: int, others_NR: Tensor, generator: torch.Generator) -> Tensor:
    """Return examples of filler only.

    Args:
        layout: Sizes and positions.
        size: How many.
        others_NR: Keys that each example does not use.
        generator: Of the filler.
    """
    shape = (size, layout.length)
    if layout.filler == "blank":
        return torch.full(shape, BLANK)
    if layout.filler == "any_token":
        return torch.randint(layout.vocab_size, shape, generator=generator)
    return others_NR.gather(1, torch.randint(others_NR.shape[1], shape, generator=generator))


def _permutations(size: int, num: int, generator: torch.Generator) -> Tensor:
    """Return `size` random orders of the numbers below `num`."""
    return torch.rand(size, num, generator=generator).argsort(1)
