"""Reading many prompts: tokens with which several begin are read once, and the model's state is then copied.

A needle stands in the same haystack at several depths, so the prompts are equal up to the first of them. Prompts of
one length are read in blocks of a few rows. Blocks whose first columns are equal form a tree; each of its edges is
read once. A model without a state reads every block whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.tasks.generation import Continuation

LEAST_SHARED = 16
"""Tokens that are worth a pass of their own."""


def read_blocks(
    model: LanguageModel, blocks: Sequence[Tensor], *, pass_tokens: int, device: torch.device
) -> Iterator[tuple[int, Tensor, Continuation]]:
    """Yield each block's place, the logits_BV after its prompts, and the continuation from there.

    Args:
        model: In evaluation mode; gradients are off.
        blocks: Prompts tokens_BT, each of one length, on the CPU.
        pass_tokens: Most tokens of one pass, if the model has a state.
        device: Where the model is.
    """
    by_size = defaultdict(list)
    for place, block_BT in enumerate(blocks):
        by_size[len(block_BT)].append(place)
    for places in by_size.values():
        yield from _read(Continuation(model, pass_tokens=pass_tokens), places, blocks, device)


def _read(
    trunk: Continuation, places: list[int], blocks: Sequence[Tensor], device: torch.device
) -> Iterator[tuple[int, Tensor, Continuation]]:
    """Read blocks of equal size that begin with what the trunk has read."""
    while trunk.has_state and len(places) > 1:
        shared = _shared(places, blocks)
        if shared - trunk.num_read >= LEAST_SHARED:
            trunk.logits(blocks[places[0]][:, :shared].to(device))
        *branches, places = _branches(places, blocks, trunk.num_read)
        if not branches:
            break
        for branch in branches:
            yield from _read(trunk.fork(), branch, blocks, device)
    for place in places:
        leaf = trunk.fork()
        yield place, leaf.logits(blocks[place].to(device)), leaf


def _shared(places: Sequence[int], blocks: Sequence[Tensor]) -> int:
    """Return how many columns are equal in all blocks; fewer than any of them has."""
    first_BT = blocks[places[0]]
    shared = min(blocks[place].shape[1] for place in places) - 1
    for place in places[1:]:
        differs_T = (blocks[place][:, :shared] != first_BT[:, :shared]).any(0)
        if differs_T.any():
            shared = int(differs_T.int().argmax())
    return shared


def _branches(places: Sequence[int], blocks: Sequence[Tensor], num_read: int) -> list[list[int]]:
    """Return groups of blocks that share the columns that would be read next; the largest group last."""
    groups = defaultdict(list)
    for place in places:
        ahead_BT = blocks[place][:, num_read : num_read + LEAST_SHARED]
        groups[ahead_BT.numpy().tobytes()].append(place)
    return sorted(groups.values(), key=len)
