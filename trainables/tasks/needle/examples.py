"""How the examples of the needle task are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.batch import IGNORED
from trainables.tasks.needle.layout import MARKER, Layout
from trainables.tasks.synthetic.task import Examples


@dataclass(frozen=True, kw_only=True)
class NeedleExamples(Examples):
    """Examples of one layout."""

    needle_start_N: Tensor
    """Position of the needle's first token in the context."""


def draw(layout: Layout, size: int, generator: torch.Generator, *, stratified: bool = False) -> NeedleExamples:
    """Draw examples, on the CPU.

    Args:
        layout: Sizes and positions.
        size: How many.
        generator: The only source of randomness.
        stratified: Spread the positions evenly: one in each of `size` equal ranges, in random order. Otherwise
            they are uniform and independent.
    """

    def symbols(num: int) -> Tensor:
        return layout.first_symbol + torch.randint(layout.num_symbols, (size, num), generator=generator)

    context_NC, needle_NL = symbols(layout.context_length), symbols(layout.needle_length)
    if stratified:
        inside_N = torch.rand(size, generator=generator, dtype=torch.float64)
        share_N = (torch.randperm(size, generator=generator) + inside_N) / size
        offset_N = (share_N * layout.num_positions).long().clamp(max=layout.num_positions - 1)
    else:
        offset_N = torch.randint(layout.num_positions, (size,), generator=generator)
    needle_start_N = layout.first_position + offset_N
    context_NC.scatter_(1, needle_start_N[:, None] + torch.arange(layout.needle_length), needle_NL)
    if layout.marker:
        context_NC.scatter_(1, needle_start_N[:, None] - 1, MARKER)
    query_NQ = torch.tensor(layout.query_tokens, dtype=torch.long).expand(size, -1)
    tokens_NT = torch.cat([context_NC, query_NQ, needle_NL], dim=1) if layout.query else context_NC
    start = layout.answer_start if layout.scored == "answer" else 1
    targets_NT = torch.full_like(tokens_NT, IGNORED)
    targets_NT[:, start - 1 : -1] = tokens_NT[:, start:]
    return NeedleExamples(tokens_NT=tokens_NT, targets_NT=targets_NT, needle_start_N=needle_start_N)
