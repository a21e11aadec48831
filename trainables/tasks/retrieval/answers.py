"""What a model answers, generated greedily."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.tasks.generation import Continuation
from trainables.tasks.scoring import hit_probability, token_nats

Settled = Callable[[int, Tensor], bool]
"""Whether what was generated in a row of a block decides its score, so that no more is needed."""


class Answers(NamedTuple):
    """The answers to a block of prompts."""

    tokens: list[Tensor]
    """What is generated in each row. Where the wanted token shares the highest logit, it is chosen."""
    hits_BL: Tensor
    """The probability that each token is the wanted one, ties broken at random; the tokens before it are the
    model's own. 0 where nothing was generated."""
    nats_BL: Tensor
    """Negative log-likelihood of each wanted token, those before it given."""


def answer(
    continuation: Continuation,
    logits_BV: Tensor,
    prompt_BT: Tensor,
    wanted_BL: Tensor,
    num_tokens: int,
    is_settled: Settled,
) -> Answers:
    """Let a model answer prompts that it has read.

    The wanted answers are passed first, whole. If each of their tokens is the likeliest, the model would have
    generated them, and generates nothing.

    Args:
        continuation: After the prompts.
        logits_BV: After the prompts.
        prompt_BT: The prompts.
        wanted_BL: The correct answers.
        num_tokens: Most tokens that are generated, at least as many as are wanted.
        is_settled: When a row ends before.
    """
    logits_BLV = logits_BV[:, None]
    if wanted_BL.shape[1] > 1:
        ahead_BLV = continuation.logits_after(prompt_BT, wanted_BL[:, :-1])
        logits_BLV = torch.cat((logits_BLV, ahead_BLV), 1)
    nats_BL = token_nats(logits_BLV, wanted_BL).double()
    hits_BL = hit_probability(logits_BLV.flatten(0, 1), wanted_BL.flatten(), 1).view(wanted_BL.shape)
    would_generate = bool((hits_BL > 0).all())
    is_enough = num_tokens == wanted_BL.shape[1] or all(map(is_settled, range(len(wanted_BL)), wanted_BL))
    if would_generate and is_enough:
        return Answers(list(wanted_BL), hits_BL, nats_BL)
    tokens, hits_BL = generate_answers(continuation, logits_BV, prompt_BT, wanted_BL, num_tokens, is_settled)
    return Answers(tokens, hits_BL, nats_BL)


def generate_answers(
    continuation: Continuation,
    logits_BV: Tensor,
    prompt_BT: Tensor,
    wanted_BL: Tensor,
    num_tokens: int,
    is_settled: Settled,
) -> tuple[list[Tensor], Tensor]:
    """Generate token by token; return each row's tokens, and the hits."""
    tokens_BT, start = prompt_BT, prompt_BT.shape[1]
    hits_BL = torch.zeros(wanted_BL.shape, dtype=torch.float64, device=wanted_BL.device)
    size = [0] * len(wanted_BL)
    open_rows = list(range(len(wanted_BL)))
    for place in range(num_tokens):
        if place:
            logits_BV = continuation.logits(tokens_BT)
        chosen_B = logits_BV.argmax(1)
        if place < wanted_BL.shape[1]:
            hit_B = hit_probability(logits_BV, wanted_BL[:, place], 1)
            hits_BL[open_rows, place] = hit_B[open_rows]
            chosen_B = torch.where(hit_B > 0, wanted_BL[:, place], chosen_B)
        tokens_BT = torch.cat((tokens_BT, chosen_B[:, None]), 1)
        for row in open_rows:
            size[row] = place + 1
        open_rows = [row for row in open_rows if not is_settled(row, tokens_BT[row, start:])]
        if not open_rows:
            break
    return [tokens_BT[row, start : start + size[row]] for row in range(len(size))], hits_BL
